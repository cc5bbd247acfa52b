from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_run import tiny_distill_config, write_arrays, write_image_files

from lt_callbacks.apps.config.build import build_source
from lt_callbacks.apps.config.train_schemas import DataConfig
from lt_callbacks.apps.distill.checks import _NEED_STATISTICS, check_distill_parts, check_distill_settings
from lt_callbacks.apps.distill.rows import RECIPES
from lt_callbacks.dataset_distillation import DISTILLERS, RealImages


@pytest.fixture(scope="module")
def source():
    return build_source(DataConfig())


def test_the_default_settings_pass(tmp_path, source):
    config = tiny_distill_config(
        tmp_path, "distiller=edc_small_images", "student.num_passes=100", "views.num_views=100"
    )
    check_distill_settings(config)
    assert check_distill_parts(config, source).seed == 0


def test_all_rows_pass(tmp_path, source):
    config = tiny_distill_config(tmp_path, f"methods=[{','.join(RECIPES)}]")
    check_distill_settings(config)
    check_distill_parts(config, source)


def test_checking_leaves_nothing_behind(tmp_path, source):
    state = torch.get_rng_state()
    check_distill_parts(tiny_distill_config(tmp_path, "score_on=removed"), source)
    assert torch.equal(torch.get_rng_state(), state)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("num_seeds=0", r"`num_seeds` must be an integer >= 1; got 0"),
        ("seed=-1", r"`seed` must be an integer >= 0 and <= \d+; got -1"),
        # 32 networks a seed, in 32 bits.
        ("seed=134217727", r"`seed` must be an integer >= 0 and <= 134217726; got 134217727"),
        ("threads=0", r"`threads` must be an integer >= 1; got 0"),
        ("trainer.max_epochs=0", r"`trainer\.max_epochs` must be an integer >= 1; got 0"),
        ("trainer.devices=2", r"`trainer\.devices` must be 1, since .*; got 2\. Run jobs side by side"),
        ("trainer.num_nodes=3", r"`trainer\.num_nodes` must be 1, since .*; got 3\."),
        ("methods=[soft,adsaa]", r"`methods` must be one of 'networks', .*; got 'adsaa'\. Did you mean 'adsa'\?"),
        ("methods=[soft,soft]", r"`methods` must name each row of the table once; got \['soft', 'soft'\]"),
        ("methods=[]", r"`methods` must name each row of the table once; got \[\]"),
        ("distiller.images_per_class=0", r"`distiller\.images_per_class` must be an integer >= 1; got 0"),
        ("views.num_views=0", r"`views\.num_views` must be an integer >= 1; got 0"),
        ("score_on=train", r"`score_on` must be one of 'test', 'removed'; got 'train'"),
        ("adsa.fit_on=crop", r"`adsa\.fit_on` must be one of 'plain', .*; got 'crop'\. Did you mean 'crops'\?"),
        ("adsa.num_fit_views=0", r"`adsa\.num_fit_views` must be an integer >= 1; got 0"),
        ("student.loss=kll", r"`student\.loss` must be one of 'kl', 'mse'; got 'kll'\. Did you mean 'kl'\?"),
        # All rows would be the row `hard`, under other names.
        ("student.loss=hard", r"`student\.loss` must be one of 'kl', 'mse'; got 'hard'"),
        ("student.num_passes=0", r"`student\.num_passes` must be an integer >= 1; got 0"),
        ("student.batch_size=0", r"`student\.batch_size` must be an integer >= 1; got 0"),
        ("oracle_taus=[1,nan]", r"`oracle_taus` must be a finite number; got nan"),
        ("oracle_taus=[]", r"`oracle_taus` must hold at least one tau for the row `oracle`; got \[\]"),
        ("networks=[]", r"`networks` must name 1 to 31 networks; got \[\]"),
        (f"networks=[{','.join(['small_cnn'] * 32)}]", r"`networks` must name 1 to 31 networks; got \['small_cnn', "),
    ],
)
def test_settings_are_refused_by_their_names(tmp_path, override, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        check_distill_settings(tiny_distill_config(tmp_path, override))


@pytest.mark.parametrize(
    "overrides",
    [["seed=134217726"], [f"networks=[{','.join(['small_cnn'] * 31)}]"], ["oracle_taus=[]", "methods=[soft,adsa]"]],
)
def test_settings_at_the_border_pass(tmp_path, overrides):
    check_distill_settings(tiny_distill_config(tmp_path, *overrides))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["distiller.name=edcc"], r"`distiller\.name` must be one of .*; got 'edcc'\. Did you mean 'edc'\?"),
        (
            ["distiller=sre2l", "+distiller.settings.num_stepz=1"],
            r"`distiller\.settings` must be one of .*; got 'num_stepz'\. Did you mean 'num_steps'\?",
        ),
        (
            ["distiller=sre2l", "+distiller.settings.num_steps=0"],
            r"`distiller\.settings\.num_steps` must be an integer >= 1; got 0",
        ),
        (["views.crop=zoomed"], r"`views\.crop` must be one of .*; got 'zoomed'"),
        (["views.mix=blend"], r"`views\.mix` must be one of .*; got 'blend'"),
        (["student.temperature=0"], r"`student\.temperature` must be a finite number > 0; got 0\.0"),
        (["student.optimizer=adm"], r"`student\.optimizer` must be one of"),
        (["adsa.shrink_to=9"], r"`adsa\.shrink_to` must be .*; got 9\.0"),
        (["networks=[small_cnn,resnet]"], r"`networks` must be one of .*; got 'resnet'"),
        (["model.name=resnet"], r"`model\.name` must be one of .*; got 'resnet'"),
        (["model.width=0"], r"`model\.width` must be"),
        (["objective.name=x"], r"`objective\.name` must be one of"),
        (["+objective.settings.tau=1"], r"`objective\.settings` "),
        (["optimisation.learning_rate=-1"], r"`optimisation\.learning_rate` must be"),
        (["trainer.precision=3"], r"`trainer` must be what lightning\.Trainer accepts"),
        (["noise.ratio=1"], r"`noise\.ratio` must be a finite number >= 0 and < 1; got 1\.0"),
        (["imbalance.factor=0"], r"`imbalance\.factor` must be a finite number >= 1; got 0\.0"),
        (["manifest=none.json"], r"`manifest` must"),
        (["score_on=removed", "imbalance.factor=1"], r"`score_on` must be 'test' where the imbalance leaves no image"),
    ],
)
def test_parts_are_refused_by_the_names_of_their_settings(tmp_path, source, overrides, message):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=f"^{message}"):
        check_distill_parts(tiny_distill_config(tmp_path, *overrides), source)


def test_without_a_test_set_there_is_nothing_to_compare(tmp_path, source):
    with pytest.raises(ValueError, match=r"^`data` must have a test set, "):
        check_distill_parts(tiny_distill_config(tmp_path), replace(source, test=None))


def test_image_files_are_not_distilled(tmp_path):
    root = write_image_files(tmp_path / "pets")
    config = tiny_distill_config(
        tmp_path,
        "data=image_folder",
        "imbalance=exponential",
        f"data.root={root}",
        "data.image_size=8",
        "imbalance.factor=2",
    )
    with pytest.raises(
        TypeError, match=r"^`data` must hold its images in memory to be distilled; got 'pets', which has image files"
    ):
        check_distill_parts(config, build_source(config.data))


@pytest.mark.parametrize("distiller", sorted(DISTILLERS))
def test_a_network_without_batch_norm_is_refused_where_images_are_matched_to_it(tmp_path, distiller):
    path = write_arrays(tmp_path / "a.npz")
    config = tiny_distill_config(
        tmp_path, "data=arrays", "imbalance=exponential", f"data.path={path}", "imbalance.factor=2", f"distiller={distiller}",
        "networks=[small_cnn,'torchvision:squeezenet1_1']",
    )  # fmt: skip
    source = build_source(config.data)
    if distiller not in ("sre2l", "edc"):
        check_distill_parts(config, source)
        return
    expected = r"^`networks` must have batch-norm layers .*; got SqueezeNet without one\."
    with pytest.raises(ValueError, match=expected):
        check_distill_parts(config, source)


def test_the_distillers_that_match_statistics_are_those_that_do(tmp_path):
    """A distiller that needs networks and is not listed must do without batch norm."""
    config = tiny_distill_config(
        tmp_path,
        "data=arrays",
        "imbalance=exponential",
        f"data.path={write_arrays(tmp_path / 'a.npz')}",
        "imbalance.factor=2",
    )
    from lt_callbacks.apps.config.build import build_datamodule

    real = RealImages.of(build_datamodule(config, build_source(config.data), seed=0))
    plain = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 10))
    for name in sorted(set(DISTILLERS) - set(_NEED_STATISTICS)):
        assert len(DISTILLERS[name]().distil(real, [plain], images_per_class=1, seed=0)) == 10
    for name in _NEED_STATISTICS:
        with pytest.raises(ValueError, match="batch-norm"):
            DISTILLERS[name](num_steps=1).distil(real, [plain], images_per_class=1, seed=0)
