from __future__ import annotations

import inspect
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.loggers import CSVLogger, Logger
from tiny_run import tiny_config

from lt_callbacks.apps.config.build import (
    build_classifier,
    build_datamodule,
    build_source,
    build_targets,
    build_trainer,
    check_targets,
)
from lt_callbacks.apps.config.train_schemas import DataConfig
from lt_callbacks.data import SOURCES
from lt_callbacks.plugins import ProxyLabelMonitor


@pytest.fixture(scope="module")
def source():
    return build_source(DataConfig())


def datamodule_of(folder, source, *overrides, seed=0):
    return build_datamodule(tiny_config(folder, *overrides), source, seed=seed)


def test_a_source_gets_the_settings_that_it_reads(source):
    half = build_source(DataConfig(name="digits", test_fraction=0.5))
    assert len(half.test) > len(source.test)


@pytest.mark.parametrize("name", ["root", "path", "train_csv", "test_csv", "image_size"])
def test_a_setting_that_a_source_does_not_read_is_refused(name):
    value = 8 if name == "image_size" else "somewhere"
    expected = (
        f"`data.{name}` must be null for data set 'digits', which reads test_fraction; got {value!r}. "
        f"Set data.{name}=null."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        build_source(DataConfig(name="digits", **{name: value}))


@pytest.mark.parametrize(
    ("name", "missing"),
    [("arrays", "path"), ("image_folder", "root"), ("csv_file", "train_csv"), ("cifar10", "root"), ("mnist", "root")],
)
def test_a_setting_that_a_source_needs_is_asked_for(name, missing):
    with pytest.raises(ValueError, match=rf"^`data\.{missing}` must be given for data set '{name}'; got null\."):
        build_source(DataConfig(name=name))


def test_every_setting_of_every_source_is_a_setting_of_the_group():
    reachable = set(DataConfig.__dataclass_fields__)
    for source in SOURCES.values():
        assert inspect.signature(source).parameters.keys() <= reachable


def test_images_of_ones_own_are_augmented_as_asked(tmp_path):
    pixels, labels = np.zeros((4, 16, 16), np.uint8), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "own.npz", train_images=pixels, train_labels=labels)
    plain = DataConfig(name="arrays", path=str(tmp_path / "own.npz"))
    found = [
        (source.crop_padding, source.flip)
        for source in (build_source(plain), build_source(replace(plain, crop_padding=0, flip=False)))
    ]
    assert found == [(2, True), (0, False)]
    with pytest.raises(ValueError, match=r"^`data\.crop_padding` must be an integer >= 0; got -1\."):
        build_source(replace(plain, crop_padding=-1))


@pytest.mark.parametrize(("name", "value"), [("crop_padding", 2), ("flip", False)])
def test_a_benchmark_keeps_its_augmentation(name, value, tmp_path):
    with pytest.raises(
        ValueError, match=rf"^`data\.{name}` must be null for data set 'cifar10', which reads root; got"
    ):
        build_source(DataConfig(name="cifar10", root=str(tmp_path), **{name: value}))


def test_an_unknown_data_set_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"^`data\.name` must be one of .*; got 'cifra10'\. Did you mean 'cifar10'\?$"):
        build_source(DataConfig(name="cifra10"))


def test_a_missing_folder_says_what_to_put_where(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^`data\.root` must hold .*cifar-10-batches-py.*Put the content of"):
        build_source(DataConfig(name="cifar10", root=str(tmp_path)))


def test_a_source_refuses_by_the_name_of_the_setting():
    with pytest.raises(ValueError, match=r"^`data\.test_fraction` must be a finite number > 0 and <= 0\.9; got 1\.5\."):
        build_source(DataConfig(test_fraction=1.5))


def test_the_data_is_what_the_settings_say(tmp_path, source):
    overrides = (
        "noise.ratio=0.2",
        "imbalance=step",
        "imbalance.factor=5",
        "data.batch_size=7",
        "data.validation_fraction=0",
    )
    found = datamodule_of(tmp_path, source, *overrides, seed=3)
    assert found.manifest.settings["noise"]["ratio"] == 0.2
    assert found.manifest.settings["imbalance"]["profile"] == "step"
    assert found.manifest.settings["imbalance"]["factor"] == 5
    assert (found.batch_size, found.seed, len(found.val_indices), found.augment) == (7, 3, 0, False)


def test_the_corruption_follows_the_seed_unless_it_has_its_own(tmp_path, source):
    following = [datamodule_of(tmp_path, source, seed=seed).manifest for seed in (0, 1)]
    fixed = [datamodule_of(tmp_path, source, "corruption_seed=0", seed=seed).manifest for seed in (0, 1)]
    assert following[0] != following[1]
    assert following[0] == fixed[0] == fixed[1]


def test_a_manifest_replaces_imbalance_and_noise(tmp_path, source):
    made = datamodule_of(tmp_path, source, "imbalance.factor=5", seed=4).manifest
    path = made.save(tmp_path / "manifest.json")
    assert datamodule_of(tmp_path, source, f"manifest={path}").manifest == made


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["noise.ratio=1.5"], r"`noise\.ratio` must be a finite number >= 0 and < 1; got 1\.5"),
        (["noise.ratio=-0.1"], r"`noise\.ratio` must be .* got -0\.1"),
        (["noise.kind=symetric"], r"`noise\.kind` must be one of .* Did you mean 'symmetric'\?"),
        (
            ["noise.transition_file=x.npy"],
            r"`noise\.transition_file` must be given with kind 'custom' and with no other",
        ),
        (
            ["noise=custom", "noise.transition_file=none.npy"],
            r"`noise\.transition_file` must be a file; got 'none\.npy'",
        ),
        (["noise=human", "noise.given_labels_file=none.npy"], r"`noise\.given_labels_file` must be a file"),
        (["imbalance.factor=0.5"], r"`imbalance\.factor` must be a finite number >= 1; got 0\.5"),
        (["imbalance.factor=1000"], r"`imbalance\.factor` must leave at least one sample in every class; got 1000"),
        (["imbalance.profile=steps"], r"`imbalance\.profile` must be one of .* Did you mean 'step'\?"),
        (["imbalance.class_order=[0,1]"], r"`imbalance\.class_order` must hold each of the 10 classes once; got 2"),
        (["data.batch_size=0"], r"`data\.batch_size` must be an integer >= 1; got 0"),
        (["data.validation_fraction=1"], r"`data\.validation_fraction` must be .* got 1\.0"),
        (["data.residence=gpu"], r"`data\.residence` must be one of"),
        (["corruption_seed=-1"], r"`corruption_seed` must be an integer >= 0; got -1"),
        (["manifest=none.json"], r"`manifest` must be a manifest file; got 'none\.json'"),
    ],
)
def test_data_settings_are_refused_by_their_names(tmp_path, source, overrides, message):
    with pytest.raises((ValueError, FileNotFoundError), match=f"^{message}"):
        datamodule_of(tmp_path, source, *overrides)


def test_a_classifier_is_what_its_group_says(tmp_path, source):
    overrides = (
        "noise_teacher=gce",
        "noise_teacher.settings.q=0.5",
        "model.width=8",
        "optimisation.learning_rate=0.01",
    )
    config = tiny_config(tmp_path, *overrides)
    datamodule = build_datamodule(config, source, seed=0)
    student = build_classifier(config, datamodule, group="objective")
    teacher = build_classifier(config, datamodule, group="noise_teacher", learning_rate=0.5)
    assert type(student.objective).__name__ == "CrossEntropy"
    assert teacher.objective.q == 0.5
    assert (student.optimisation.learning_rate, teacher.optimisation.learning_rate) == (0.01, 0.5)
    assert student.optimisation.optimizer == "adamw"
    assert student(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    wide = build_classifier(tiny_config(tmp_path), datamodule, group="objective")
    assert sum(p.numel() for p in student.parameters()) < sum(p.numel() for p in wide.parameters())


def test_an_objective_gets_the_head_that_it_is_made_for(tmp_path, source):
    config = tiny_config(tmp_path, "objective=ldam_drw")
    datamodule = build_datamodule(config, source, seed=0)
    assert type(build_classifier(config, datamodule, group="objective").network.head).__name__ == "CosineHead"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.name=smal_cnn"], r"`model\.name` must be one of .* got 'smal_cnn'"),
        (["model.width=0"], r"`model\.width` must be an integer >= 1; got 0"),
        (["objective.name=elf"], r"`objective\.name` must be one of .* Did you mean 'elr'\?"),
        (
            ["objective=gce", "+objective.settings.p=1"],
            r"`objective\.settings` must be 'q'.* for objective 'gce'; got 'p'",
        ),
        (["optimisation.optimizer=adam"], r"`optimisation\.optimizer` must be one of .* Did you mean 'adamw'\?"),
        (["optimisation.learning_rate=0"], r"`optimisation\.learning_rate` must be a finite number > 0; got 0\.0"),
        (["optimisation.milestones=[0.7,0.5]"], r"`optimisation\.milestones` must ascend"),
    ],
)
def test_model_settings_are_refused_by_their_names(tmp_path, source, overrides, message):
    config = tiny_config(tmp_path, *overrides)
    datamodule = build_datamodule(config, source, seed=0)
    with pytest.raises(ValueError, match=f"^{message}"):
        build_classifier(config, datamodule, group="objective")


def test_a_teachers_own_learning_rate_is_named_as_such(tmp_path, source):
    config = tiny_config(tmp_path)
    datamodule = build_datamodule(config, source, seed=0)
    with pytest.raises(ValueError, match=r"^`noise_teacher\.learning_rate` must be a finite number > 0; got -1"):
        build_classifier(config, datamodule, group="noise_teacher", learning_rate=-1.0)


def test_a_trainer_prints_and_writes_nothing(tmp_path):
    trainer = build_trainer(tiny_config(tmp_path, "trainer.precision=bf16-mixed", "trainer.gradient_clip_val=2"))
    assert trainer.loggers == []
    assert trainer.checkpoint_callbacks == []
    assert trainer.progress_bar_callback is None
    assert (trainer.max_epochs, trainer.precision, trainer.gradient_clip_val) == (2, "bf16-mixed", 2)


@pytest.mark.parametrize(
    "override", ["trainer.accelerator=warp", "trainer.precision=3", "trainer.gradient_clip_val=-1"]
)
def test_a_trainer_that_lightning_refuses(tmp_path, override):
    config = tiny_config(tmp_path)
    name, value = override.removeprefix("trainer.").split("=")
    setattr(config.trainer, name, value)
    with pytest.raises(
        ValueError, match=r"^`trainer` must be what lightning\.Trainer accepts on this machine; got .*: "
    ):
        build_trainer(config)


def test_callbacks_and_loggers_are_built_with_their_arguments(tmp_path):
    nodes = {"monitor": {"_target_": "lt_callbacks.ProxyLabelMonitor", "uniform_above": 0.5}}
    (monitor,) = build_targets("callbacks", nodes, Callback)
    assert isinstance(monitor, ProxyLabelMonitor)
    assert monitor.uniform_above == 0.5
    nodes = {"csv": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)}}
    (logger,) = build_targets("logger", nodes, Logger)
    assert isinstance(logger, CSVLogger)
    assert build_targets("logger", {}, Logger) == []


@pytest.mark.parametrize("node", [{"uniform_above": 0.5}, None, "lt_callbacks.ProxyLabelMonitor", {}])
def test_an_entry_without_a_class_is_refused_not_skipped(node):
    expected = (
        f"`callbacks.mine` must have a `_target_`, the class to build; got {node!r}. Name the class, or remove the "
        "entry with ~callbacks.mine."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        check_targets("callbacks", {"mine": node}, Callback)


@pytest.mark.parametrize("target", ["lt_callbacks.ProxyLabelMonitr", "no_such_package.Callback", "Callback", "", 3])
def test_a_class_that_is_not_there_is_refused(target):
    with pytest.raises(ValueError, match=r"^`logger\.mine\._target_` must be the full name of a class; got "):
        check_targets("logger", {"mine": {"_target_": target}}, Logger)


@pytest.mark.parametrize("nodes", ["lt_callbacks.ProxyLabelMonitor", ["csv"], 3, None])
def test_entries_that_are_no_mapping_are_refused_by_the_name_of_the_setting(nodes):
    with pytest.raises(
        TypeError, match=r"^`logger` must map names to entries with a `_target_`; got .* Set \+logger\."
    ):
        check_targets("logger", nodes, Logger)


@pytest.mark.parametrize(
    ("node", "error", "message"),
    [
        (
            {"_target_": "lightning.pytorch.loggers.CSVLogger"},
            ValueError,
            "must have settings .*missing a required argu",
        ),
        (
            {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "a", "x": 1},
            ValueError,
            "unexpected keyword",
        ),
        (
            {"_target_": "lt_callbacks.ProxyLabelMonitor"},
            TypeError,
            "must be a Lightning Logger; got ProxyLabelMonitor",
        ),
        ({"_target_": "torch.float32"}, TypeError, "must be a Lightning Logger; got dtype"),
    ],
)
def test_an_entry_is_looked_at_whole_and_not_built(node, error, message):
    """A logger that is built begins to write: what is wrong with one is found without that."""
    with pytest.raises(error, match=rf"^`logger\.mine` {message}" if message[:4] == "must" else message):
        check_targets("logger", {"mine": node}, Logger)


def test_an_object_of_another_kind_is_refused():
    nodes = {"mine": {"_target_": "collections.OrderedDict"}}
    message = r"^`callbacks\.mine` must be a Lightning Callback; got OrderedDict\. Correct its `_target_`\.$"
    with pytest.raises(TypeError, match=message):
        build_targets("callbacks", nodes, Callback)


def test_building_data_leaves_the_global_random_state_alone(tmp_path, source):
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    datamodule_of(tmp_path, source)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


@pytest.mark.parametrize(("deterministic", "expected"), [(True, False), (False, True)])
def test_a_deterministic_training_does_not_let_the_gpu_choose_by_measuring(tmp_path, deterministic, expected):
    before = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    try:
        # As somebody may have set it before.
        torch.backends.cudnn.benchmark = True
        build_trainer(tiny_config(tmp_path, f"trainer.deterministic={deterministic}"))
        assert torch.backends.cudnn.benchmark is expected
    finally:
        torch.backends.cudnn.benchmark = before[0]
        torch.use_deterministic_algorithms(before[1])


def test_a_way_out_names_the_setting_too(tmp_path):
    """It spoke of `root`, which no command knows."""
    (tmp_path / "lists").mkdir()
    for path, message in (("none.png", "name files that exist; got .* or pass"), ("../a.png", "name files in its own")):
        (tmp_path / "lists" / "a.csv").write_text(f"path,label\n{path},a\n")
        with pytest.raises(
            (FileNotFoundError, ValueError), match=rf"^`data\.train_csv` must {message}.*`data\.root`"
        ) as caught:
            build_source(DataConfig(name="csv_file", train_csv=str(tmp_path / "lists" / "a.csv"), image_size=8))
        assert "`root`" not in str(caught.value)
