"""Every YAML file of `conf/` composes, becomes the objects that it speaks of, and agrees with their constructors."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.errors import ConfigCompositionException, MissingConfigException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf
from torch import nn

from lt_callbacks.apps.config.build import (
    build_classifier,
    build_datamodule,
    build_source,
    build_targets,
    build_trainer,
)
from lt_callbacks.apps.config.distill_schemas import DISTILL_GROUPS, AdsaConfig, DistillConfig
from lt_callbacks.apps.config.register import ALL_GROUPS, register_schemas
from lt_callbacks.apps.config.train_schemas import (
    GROUPS,
    DataConfig,
    DSinkConfig,
    ImbalanceConfig,
    ModelConfig,
    NoiseConfig,
    ObjectiveConfig,
    OptimisationConfig,
    TrainConfig,
    TrainerConfig,
)
from lt_callbacks.apps.config.typed import typed
from lt_callbacks.apps.distill.build import build_student, student_loss, view_settings
from lt_callbacks.apps.distill.checks import check_distill_settings
from lt_callbacks.apps.train.checks import check_settings
from lt_callbacks.corruption import NOISE_KINDS, PROFILES, Imbalance, Noise
from lt_callbacks.data import SOURCES, LongTailedDataModule
from lt_callbacks.dataset_distillation import DISTILLERS, build_distiller
from lt_callbacks.methods import Classifier, Optimisation
from lt_callbacks.models import build_model
from lt_callbacks.models.build import NETWORKS
from lt_callbacks.objectives import OBJECTIVES
from lt_callbacks.plugins import ADSACallback, DSink

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.glob("*/*.yaml"))

# Dropped into another project's callbacks, see test_other_project.py; `lt-train` attaches D-SINK by itself, and
# `lt-distill` does what ADSA's callback does.
FOR_OTHER_PROJECTS = ["callbacks/adsa", "callbacks/dsink"]

ROOTS = ("train", "distill")
CHECKS = {"train": check_settings, "distill": check_distill_settings}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Setting that a file leaves open -> a value for it, of the kind that the setting wants."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 8, 8, 1), dtype=np.uint8), np.arange(60) % 10
    arrays = {
        f"{part}_{kind}": value
        for part in ("train", "test")
        for kind, value in (("images", images), ("labels", labels))
    }
    np.savez(folder / "arrays.npz", **arrays)
    source = build_source(DataConfig())
    np.save(folder / "given.npy", source.train.labels)
    np.save(folder / "transition.npy", np.eye(10))
    torch.save(build_model("small_cnn", num_classes=10, in_channels=1).state_dict(), folder / "teacher.ckpt")
    return {
        "data.path": folder / "arrays.npz",
        "noise.given_labels_file": folder / "given.npy",
        "noise.transition_file": folder / "transition.npy",
        "imbalance_teacher.checkpoint": folder / "teacher.ckpt",
        "noise_teacher.checkpoint": folder / "teacher.ckpt",
    }


def composed(*overrides, root="train"):
    register_schemas()
    with initialize_config_module("lt_callbacks.conf", version_base="1.3"):
        return compose(root, overrides=["output=out", *overrides])


def groups_of(root):
    """Groups that a command chooses from."""
    defaults = OmegaConf.load(CONF / f"{root}.yaml").defaults
    return {next(iter(entry)) for entry in defaults if not isinstance(entry, str)}


def roots_of(file):
    """Commands that a file is for. An experiment says in its second line which command runs it."""
    group = file.partition("/")[0]
    if group == "experiment":
        (command,) = re.findall(
            r"^# lt-(\w+) (?:-m )?experiment=", (CONF / f"{file}.yaml").read_text(), flags=re.MULTILINE
        )
        return [command]
    return [root for root in ROOTS if group in groups_of(root)]


def choice(file, files):
    """Overrides that choose a file and fill in what it leaves open."""
    group, _, name = file.partition("/")
    marked = re.findall(r'^(\w+): (?:\?\?\?|"")$', (CONF / f"{file}.yaml").read_text(), flags=re.MULTILINE)
    asked = [f"{group}.{setting}" for setting in marked]
    return [f"{group}={name}", *(f"{setting}={files.get(setting, '/somewhere')}" for setting in asked)]


def settings_of(file):
    """What a file itself says, without what it extends."""
    return OmegaConf.to_container(OmegaConf.load(CONF / f"{file}.yaml"))


@pytest.mark.parametrize(
    ("file", "root"), [(file, root) for file in FILES if file not in FOR_OTHER_PROJECTS for root in roots_of(file)]
)
def test_every_file_composes_and_passes_the_checks(file, root, files):
    if file == "launcher/ray":
        pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="the launcher for Ray is not installed")
    config = typed(composed(*choice(file, files), root=root))
    if file == "trainer/gpu":
        assert config.trainer.accelerator == "gpu"
    CHECKS[root](config)
    said = {name: value for name, value in settings_of(file).items() if name != "defaults" and value not in ("???", "")}
    group = file.partition("/")[0]
    # The choice is what counts in the end. Only the defaults of `lt-distill` are followed by settings of its own.
    if group in ALL_GROUPS and (root == "train" or group in ("distiller", "adsa", "student")):
        assert {name: getattr(getattr(config, group), name) for name in said} == said


def test_every_file_is_for_a_command_or_another_project():
    assert [file for file in FILES if not roots_of(file)] == []
    assert set(FOR_OTHER_PROJECTS) <= set(FILES)


EXPERIMENTS = [file for file in FILES if file.startswith("experiment/")]


@pytest.mark.parametrize("file", EXPERIMENTS)
def test_an_experiment_is_refused_by_the_other_command(file, files):
    (other,) = set(ROOTS) - set(roots_of(file))
    data = [f"data.path={files['data.path']}"] if "/data: arrays" in (CONF / f"{file}.yaml").read_text() else []

    def check():
        config = typed(composed(f"experiment={file.partition('/')[2]}", *data, root=other))
        CHECKS[other](config)
        build_datamodule(config, build_source(config.data), seed=0)

    with pytest.raises((ConfigCompositionException, ValueError)):
        check()


@pytest.mark.parametrize("file", EXPERIMENTS)
def test_the_line_that_an_experiment_gives_can_be_typed(file):
    (root,), name = roots_of(file), file.partition("/")[2]
    text = (CONF / f"{file}.yaml").read_text()
    (line,) = re.findall(rf"^# lt-{root} ((?:-m )?experiment={name}\b.*)$", text, re.MULTILINE)
    config = typed(composed(*line.removeprefix("-m ").split(), root=root))
    CHECKS[root](config)
    if line.startswith("-m "):
        swept = settings_of(file)["hydra"]["sweeper"]["params"]
        assert len(swept["seed"].split(",")) >= 3
        assert config.num_seeds == 1
        return
    assert config.results is not None
    assert (CONF.parent / config.results).parent.is_dir()
    assert config.num_seeds >= 3


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("distiller/")])
def test_every_distiller_can_be_built(file, files):
    chosen = typed(composed(*choice(file, files), root="distill")).distiller
    assert build_distiller(chosen.name, settings=chosen.settings).name == chosen.name


@pytest.mark.parametrize("file", [file for file in FILES if file.split("/")[0] in ("views", "student")])
def test_every_student_and_its_views_can_be_built(file, files):
    config = typed(composed(*choice(file, files), root="distill"))
    source = build_source(config.data)
    assert view_settings(config, source, seed=3).crop == config.views.crop
    loss = student_loss(config, is_hard=False)
    student = build_student(config, build_datamodule(config, source, seed=0), loss=loss)
    assert (student.loss.kind, student.ema_decay) == (config.student.loss, config.student.ema_decay)


@pytest.mark.parametrize("file", [file for file in FILES if file.split("/")[0] in ("imbalance", "noise")])
def test_every_corruption_can_be_built(file, files):
    config = typed(composed(*choice(file, files)))
    if file == "noise/asymmetric":
        # Its map is that of CIFAR-10's ten classes, which digits has too.
        assert config.noise.kind == "asymmetric"
    datamodule = build_datamodule(config, build_source(config.data), seed=0)
    assert datamodule.manifest.settings["noise"]["kind"] == config.noise.kind
    assert datamodule.manifest.settings["imbalance"]["profile"] == config.imbalance.profile


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if file.split("/")[0] in ("model", "objective", "imbalance_teacher", "noise_teacher")],
)
def test_every_network_and_objective_can_be_built(file, files):
    config = typed(composed(*choice(file, files)))
    group = file.partition("/")[0]
    datamodule = build_datamodule(config, build_source(config.data), seed=0)
    classifier = build_classifier(config, datamodule, group="objective" if group == "model" else group)
    with torch.no_grad():
        assert classifier.eval()(torch.zeros(2, *datamodule.image_shape)).shape == (2, 10)


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("optimisation/")])
def test_every_optimisation_can_be_built(file, files):
    config = typed(composed(*choice(file, files)))
    steps = Optimisation(**vars(config.optimisation)).configure([nn.Parameter(torch.zeros(1))], num_steps=2)
    assert steps["optimizer"].param_groups[0]["lr"] == config.optimisation.learning_rate


@pytest.mark.parametrize("file", [file for file in FILES if file.startswith("trainer/") and file != "trainer/gpu"])
def test_every_trainer_can_be_built(file, files):
    config = typed(composed(*choice(file, files), "trainer.accelerator=cpu"))
    assert build_trainer(config).max_epochs == config.trainer.max_epochs


@pytest.mark.parametrize("file", ["callbacks/monitor", "callbacks/none", "logger/csv", "logger/none"])
def test_every_callback_and_logger_can_be_built(file, files, tmp_path):
    config = typed(composed(*choice(file, files), f"output={tmp_path}"))
    build_targets("callbacks", config.callbacks, Callback)
    build_targets("logger", config.logger, Logger)


def test_the_data_of_files_can_be_built(files):
    config = typed(composed(*choice("data/arrays", files)))
    assert len(build_source(config.data).train) == 60


def test_the_defaults_are_what_the_documentation_says():
    config = typed(composed())
    assert (config.data.name, config.imbalance.profile, config.imbalance.factor) == ("digits", "exponential", 20)
    assert (config.noise.kind, config.noise.ratio) == ("symmetric", 0.4)
    assert (config.imbalance_teacher.name, config.noise_teacher.name) == ("logit_adjustment", "elr")
    assert config.methods == ["ce", "imbalance_teacher", "noise_teacher", "naive", "dsink"]


def test_the_defaults_of_a_distillation_are_what_the_documentation_says():
    config = typed(composed(root="distill"))
    assert (config.data.name, config.imbalance.profile, config.imbalance.factor) == ("digits", "exponential", 50)
    assert (config.noise.kind, config.data.validation_fraction, config.num_seeds) == ("none", 0.0, 3)
    assert (config.distiller.name, config.distiller.images_per_class, config.networks) == ("edc", 10, ["small_cnn"])
    assert (config.adsa.fit_on, config.adsa.shrink_to, config.score_on) == ("strong", None, "test")
    assert config.methods == ["hard", "soft", "tau_1", "adsa", "oracle"]


@pytest.mark.parametrize(("root", "schema"), [("train", TrainConfig), ("distill", DistillConfig)])
def test_a_command_chooses_from_every_group_that_its_schema_has(root, schema):
    assert groups_of(root) == {field.name for field in fields(schema)} & {*ALL_GROUPS, "callbacks", "logger"} | {
        "experiment",
        "launcher",
        "sweeper",
    } | ({"speed"} if root == "train" else set())
    assert type(typed(composed(root=root))) is schema


# A new data set, noise type, profile, network or objective needs a file, and a file needs what it names.


@pytest.mark.parametrize(
    ("group", "setting", "known"),
    [
        ("data", "name", SOURCES),
        ("noise", "kind", NOISE_KINDS),
        ("imbalance", "profile", PROFILES),
        ("model", "name", NETWORKS),
        ("objective", "name", OBJECTIVES),
    ],
)
def test_everything_that_has_a_name_has_a_file_of_that_name(group, setting, known):
    named = {file.partition("/")[2]: settings_of(file)[setting] for file in FILES if file.startswith(f"{group}/")}
    assert named == {name: name for name in known}


@pytest.mark.parametrize("group", ["imbalance_teacher", "noise_teacher"])
def test_a_teachers_file_has_the_name_of_its_objective(group):
    named = {file.partition("/")[2]: settings_of(file)["name"] for file in FILES if file.startswith(f"{group}/")}
    assert named.pop("checkpoint") == "cross_entropy"
    assert all(file == name and name in OBJECTIVES for file, name in named.items())


def test_every_distiller_has_a_file_of_its_name():
    named = {file.partition("/")[2]: settings_of(file)["name"] for file in FILES if file.startswith("distiller/")}
    assert {name for file, name in named.items() if file == name} == set(DISTILLERS)
    assert set(named.values()) == set(DISTILLERS)


def test_adsa_is_the_same_in_the_command_and_in_the_callback():
    parameters = parameters_of(ADSACallback)
    assert defaults_of(AdsaConfig) == {name: parameters[name] for name in defaults_of(AdsaConfig)}


def test_every_group_of_the_defaults_has_files_and_the_reverse():
    listed = groups_of("train") | groups_of("distill")
    assert listed == {path.name for path in CONF.iterdir() if path.is_dir() and any(path.glob("*.yaml"))}


# Seeds, misspelt keys, wrong types.


@pytest.mark.parametrize("seed", [0, 7])
def test_seeds_are_taken_as_given(seed):
    config = typed(composed(f"seed={seed}", f"corruption_seed={seed}"))
    assert (config.seed, config.corruption_seed) == (seed, seed)
    datamodule = build_datamodule(config, build_source(config.data), seed=config.seed)
    assert (datamodule.seed, datamodule.corruption_seed) == (seed, seed)


@pytest.mark.parametrize(
    ("group", "root"), [*((group, "train") for group in GROUPS), *((group, "distill") for group in DISTILL_GROUPS)]
)
def test_a_misspelt_key_is_refused_by_name(group, root):
    with pytest.raises(ConfigCompositionException, match=f"Could not override '{group}.misspelt'"):
        composed(f"{group}.misspelt=1", root=root)
    with pytest.raises(ValueError, match=f"^`settings of {group}` must be one of .*; got 'misspelt'."):
        typed(composed(f"+{group}.misspelt=1", root=root))


@pytest.mark.parametrize(
    "override",
    ["seed=a", "seed=1.5", "num_seeds=null", "noise.ratio=high", "imbalance.class_order=3", "data.augment=perhaps", "methods=ce",
     "model.width=wide", "optimisation.milestones=half", "dsink.alpha=[1]", "trainer.max_epochs=many"],
)  # fmt: skip
def test_a_wrong_type_is_refused_when_composing(override):
    with pytest.raises((ConfigCompositionException, MissingConfigException)):
        composed(override)


@pytest.mark.parametrize(
    "override",
    ["networks=small_cnn", "distiller.images_per_class=many", "distiller.settings=3", "views.crop_area=half",
     "views.flip=perhaps", "views.num_views=1.5", "adsa.shrink_to=one", "student.temperature=hot", "oracle_taus=[high]",
     "oracle_taus=1"],
)  # fmt: skip
def test_a_wrong_type_is_refused_when_composing_a_distillation(override):
    with pytest.raises((ConfigCompositionException, MissingConfigException)):
        composed(override, root="distill")


@pytest.mark.parametrize(
    ("group", "root"),
    [
        *((group, "train") for group in (*GROUPS, "callbacks", "logger", "experiment")),
        *((group, "distill") for group in (*DISTILL_GROUPS, "experiment")),
    ],
)
def test_a_misspelt_choice_is_refused(group, root):
    with pytest.raises(MissingConfigException, match=f"Could not find '{group}/misspelt'"):
        composed(f"{group}=misspelt", root=root)


# Schemas and constructors.


def defaults_of(schema):
    return {
        field.name: field.default if field.default is not MISSING else field.default_factory()
        for field in fields(schema)
    }


def parameters_of(function):
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


@pytest.mark.parametrize(
    ("schema", "constructor"),
    [(ImbalanceConfig, Imbalance), (NoiseConfig, Noise), (OptimisationConfig, Optimisation)],
)
def test_a_schema_is_its_constructors_signature(schema, constructor):
    expected = parameters_of(constructor)
    assert {name: tuple(v) if isinstance(v, list) else v for name, v in defaults_of(schema).items()} == expected


@pytest.mark.parametrize(
    ("schema", "constructor", "elsewhere"),
    [
        (DSinkConfig, DSink, set()),
        (ModelConfig, build_model, {"name", "channels_last", "compile"}),
        (
            DataConfig,
            LongTailedDataModule,
            {"name", "root", "path", "train_csv", "test_csv", "image_size", "test_fraction", "crop_padding", "flip"},
        ),
        (TrainerConfig, Trainer, {"max_epochs", "devices", "precision", "deterministic"}),
    ],
)
def test_what_a_schema_shares_with_a_constructor_has_its_default(schema, constructor, elsewhere):
    parameters = parameters_of(constructor)
    shared = {name: value for name, value in defaults_of(schema).items() if name not in elsewhere}
    assert shared == {name: parameters[name] for name in shared}


def test_what_a_schema_does_not_share_is_read_elsewhere():
    assert parameters_of(Classifier)["channels_last"] == ModelConfig().channels_last
    read = {name for source in SOURCES.values() for name in inspect.signature(source).parameters}
    assert {"root", "path", "train_csv", "test_csv", "image_size", "test_fraction", "crop_padding", "flip"} == read
    assert {field.name for field in fields(TrainerConfig)} <= parameters_of(Trainer).keys()
    assert {field.name for field in fields(ObjectiveConfig)} == {"name", "settings"}


def test_every_callback_and_logger_is_built_above_or_in_another_project():
    tested = {"callbacks/monitor", "callbacks/none", "logger/csv", "logger/none", *FOR_OTHER_PROJECTS}
    assert {file for file in FILES if file.split("/")[0] in ("callbacks", "logger")} == tested


def test_no_file_names_a_folder_of_a_machine():
    for path in CONF.rglob("*.yaml"):
        assert not re.search(r"(?<![\w.$}])(/home|/root|/tmp|/work|~)/", path.read_text()), path
