"""Every YAML file of `conf/` composes and becomes the objects that it speaks of."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
import torch
from conf_files import (
    CHECKS,
    CONF,
    EXPERIMENTS,
    FILES,
    FOR_OTHER_PROJECTS,
    ROOTS,
    choice,
    composed,
    groups_of,
    roots_of,
    settings_of,
)
from hydra.errors import ConfigCompositionException
from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from torch import nn

from lt_callbacks.apps.config.build import (
    build_classifier,
    build_datamodule,
    build_source,
    build_targets,
    build_trainer,
)
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.register import ALL_GROUPS
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.config.typed import typed
from lt_callbacks.apps.distill.build import build_student, student_loss, view_settings
from lt_callbacks.dataset_distillation import build_distiller
from lt_callbacks.methods import Optimisation


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
    assert config.methods == ["ce", "imbalance_teacher", "noise_teacher", "noise_teacher_matched", "naive", "dsink"]


def test_the_defaults_of_a_distillation_are_what_the_documentation_says():
    config = typed(composed(root="distill"))
    assert (config.data.name, config.imbalance.profile, config.imbalance.factor) == ("digits", "exponential", 50)
    assert (config.noise.kind, config.data.validation_fraction, config.num_seeds) == ("none", 0.0, 3)
    assert (config.distiller.name, config.distiller.images_per_class, config.networks) == ("edc", 10, ["auto"])
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


def test_every_callback_and_logger_is_built_above_or_in_another_project():
    tested = {"callbacks/monitor", "callbacks/none", "logger/csv", "logger/none", *FOR_OTHER_PROJECTS}
    assert {file for file in FILES if file.split("/")[0] in ("callbacks", "logger")} == tested


def test_no_file_names_a_folder_of_a_machine():
    for path in CONF.rglob("*.yaml"):
        assert not re.search(r"(?<![\w.$}])(/home|/root|/tmp|/work|~)/", path.read_text()), path
