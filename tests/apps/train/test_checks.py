from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hydra import compose, initialize_config_module
from tiny_run import tiny_config

from lt_callbacks.apps.config.build import build_source
from lt_callbacks.apps.config.register import register_schemas
from lt_callbacks.apps.config.train_schemas import DataConfig
from lt_callbacks.apps.config.typed import typed
from lt_callbacks.apps.train.checks import check_parts, check_settings
from lt_callbacks.apps.train.rows import RECIPES


@pytest.fixture(scope="module")
def source():
    return build_source(DataConfig())


def composed(*overrides):
    register_schemas()
    with initialize_config_module("lt_callbacks.conf", version_base="1.3"):
        return compose("train", overrides=["output=out", *overrides])


def test_the_default_settings_pass(tmp_path, source):
    config = tiny_config(tmp_path)
    check_settings(config)
    assert check_parts(config, source).seed == 0


def test_all_rows_pass(tmp_path, source):
    config = tiny_config(tmp_path, f"methods=[{','.join(RECIPES)}]")
    check_settings(config)
    check_parts(config, source)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["num_seeds=0"], r"`num_seeds` must be an integer >= 1; got 0"),
        (["seed=-1"], r"`seed` must be an integer >= 0 and <= \d+; got -1"),
        (["seed=4294967295"], r"`seed` must be an integer >= 0 and <= 429496727; got 4294967295"),
        (["threads=0"], r"`threads` must be an integer >= 1; got 0"),
        (["test_every_n_epochs=-1"], r"`test_every_n_epochs` must be an integer >= 0; got -1"),
        (["trainer.max_epochs=0"], r"`trainer\.max_epochs` must be an integer >= 1; got 0"),
        (["ckpt_path=best"], r"`ckpt_path` must be 'last' or null, since a run has many trainings; got 'best'"),
        (["checkpoint_every_seconds=-1"], r"`checkpoint_every_seconds` must be .*>= 0.*; got -1"),
        (["checkpoint_every_n_steps=0"], r"`checkpoint_every_n_steps` must be an integer >= 1; got 0"),
        (["methods=[ce,dsnk]"], r"`methods` must be one of 'ce'.*; got 'dsnk'\. Did you mean 'dsink'\?"),
        (["methods=[ce,ce]"], r"`methods` must name each row of the table once; got \['ce', 'ce'\]"),
        (["methods=[]"], r"`methods` must name each row of the table once; got \[\]"),
        (["noise_teacher.max_epochs=0"], r"`noise_teacher\.max_epochs` must be an integer >= 1; got 0"),
        (["imbalance_teacher.max_epochs=-2"], r"`imbalance_teacher\.max_epochs` must be an integer >= 1; got -2"),
        (["+callbacks.mine.x=1"], r"`callbacks\.mine` must have a `_target_`, the class to build; got \{'x': 1\}"),
        (["+logger.mine.x=1"], r"`logger\.mine` must have a `_target_`, the class to build; got \{'x': 1\}"),
        (["+logger.mine._target_=my.Logger"], r"`logger\.mine\._target_` must be the full name of a class"),
    ],
)
def test_settings_are_refused_by_their_names(tmp_path, overrides, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        check_settings(tiny_config(tmp_path, *overrides))


@pytest.mark.parametrize("setting", ["settings.tau", "max_epochs", "learning_rate"])
def test_a_checkpoint_is_not_trained(tmp_path, setting):
    group = "imbalance_teacher"
    config = tiny_config(tmp_path, f"{group}=checkpoint", f"{group}.checkpoint=x", f"++{group}.{setting}=3")
    name = setting.partition(".")[0]
    with pytest.raises(ValueError, match=rf"^`imbalance_teacher\.{name}` must be left out with a checkpoint"):
        check_settings(config)


def test_the_largest_seed_passes(tmp_path):
    check_settings(tiny_config(tmp_path, "seed=429496727"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dsink.alpha=-1"], r"`dsink\.alpha` must be a finite number >= 0; got -1\.0"),
        (["dsink.alpha=nan"], r"`dsink\.alpha` must be a finite number >= 0; got nan"),
        (["dsink.student_weight=2"], r"`dsink\.student_weight` must be"),
        (["dsink.class_marginal=bach"], r"`dsink\.class_marginal` must be one of .* Did you mean 'batch'\?"),
        (["dsink.warmup_epochs=-1", "methods=[ce]"], r"`dsink\.warmup_epochs` must be an integer >= 0; got -1"),
        (["noise.ratio=1"], r"`noise\.ratio` must be a finite number >= 0 and < 1; got 1\.0"),
        (["imbalance.factor=0"], r"`imbalance\.factor` must be a finite number >= 1; got 0\.0"),
        (["model.name=resnet"], r"`model\.name` must be one of"),
        (["objective.name=x"], r"`objective\.name` must be one of"),
        (["imbalance_teacher.name=x"], r"`imbalance_teacher\.name` must be one of"),
        (
            ["+noise_teacher.settings.betta=2"],
            r"`noise_teacher\.settings` must be .* for objective 'elr'; .* Did you mean 'beta'",
        ),
        (["optimisation.learning_rate=-1"], r"`optimisation\.learning_rate` must be"),
        (["noise_teacher.learning_rate=-1"], r"`noise_teacher\.learning_rate` must be"),
        (["trainer.precision=3"], r"`trainer` must be what lightning\.Trainer accepts"),
        (
            ["noise_teacher=checkpoint", "noise_teacher.checkpoint=none.ckpt"],
            r"`noise_teacher\.checkpoint` must be a .* file",
        ),
        (["+callbacks.mine._target_=collections.OrderedDict"], r"`callbacks\.mine` must be a Lightning Callback"),
        (
            ["+callbacks.proxy_label_monitor.uniform_above=2"],
            r"`callbacks\.proxy_label_monitor` must have settings .*: `uniform_above` must be a finite number",
        ),
        (
            ["+callbacks.proxy_label_monitor.uniform=0.5"],
            r"`callbacks\.proxy_label_monitor` must have settings .*unexpected keyword argument 'uniform'",
        ),
    ],
)
def test_parts_are_refused_by_the_names_of_their_settings(tmp_path, source, overrides, message):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=f"^{message}"):
        check_parts(tiny_config(tmp_path, *overrides), source)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path, source):
    path = tmp_path / "other.ckpt"
    torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    config = tiny_config(tmp_path, "noise_teacher=checkpoint", f"noise_teacher.checkpoint={path}")
    with pytest.raises(ValueError, match="must hold the weights of SmallCNN, another architecture's do not fit"):
        check_parts(config, source)


def test_without_a_test_set_there_is_nothing_to_compare(tmp_path, source):
    with pytest.raises(
        ValueError, match=r"^`data` must have a test set, .*; got 'digits', which has none\. .* set data\.test_csv\.$"
    ):
        check_parts(tiny_config(tmp_path), replace(source, test=None))


def test_checking_leaves_nothing_behind(tmp_path, source):
    state = torch.get_rng_state()
    check_parts(tiny_config(tmp_path), source)
    assert torch.equal(torch.get_rng_state(), state)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["teachers=cache"], "`teachers` must be one of 'live', 'cached'; got 'cache'. Did you mean 'cached'"),
        (["teachers=cached", "cached_views=-1"], "`cached_views` must be an integer >= 0; got -1"),
        (["cached_views=2"], "`cached_views` must be 0 with live teachers, .*; got 2. Set teachers=cached"),
    ],
)
def test_teachers_of_a_step_that_do_not_exist_are_refused(tmp_path, overrides, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        check_settings(tiny_config(tmp_path, *overrides))
    check_settings(tiny_config(tmp_path, "teachers=cached", "cached_views=2"))


@pytest.mark.parametrize(("name", "precision"), [("cpu", "32-true"), ("gpu", "bf16-mixed")])
def test_a_preset_says_how_networks_are_run_and_nothing_of_what_is_learnt(name, precision):
    chosen, default = typed(composed(f"speed={name}", "model=resnet20")), typed(composed("model=resnet20"))
    assert (chosen.trainer.accelerator, chosen.trainer.precision) == (name, precision)
    assert (chosen.model.channels_last, chosen.model.compile) == (True, True)
    check_settings(chosen)
    for group, settings in (
        ("trainer", {"accelerator": "auto", "precision": "32-true"}),
        ("model", {"channels_last": False, "compile": False}),
    ):
        for setting, value in settings.items():
            setattr(getattr(chosen, group), setting, value)
    assert chosen == default


def test_a_preset_can_be_changed_on_the_command_line():
    config = typed(composed("speed=gpu", "model.compile=false", "trainer.devices=2"))
    assert (config.model.compile, config.trainer.devices, config.trainer.accelerator) == (False, 2, "gpu")
