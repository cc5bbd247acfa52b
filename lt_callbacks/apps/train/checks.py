"""Everything that can be wrong with a run's settings, found before anything is trained."""

from __future__ import annotations

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.seed import isolate_rng
from torch import nn

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.apps.config.build import (
    build_classifier,
    build_datamodule,
    build_targets,
    build_trainer,
    check_targets,
)
from lt_callbacks.apps.config.checks import check_methods, check_run, check_test_set
from lt_callbacks.apps.config.errors import named, names_in
from lt_callbacks.apps.config.train_schemas import DSinkConfig, TeacherConfig, TrainConfig
from lt_callbacks.apps.shared.places import check_output, check_results_and_store
from lt_callbacks.apps.train.model_folder import check_model_row
from lt_callbacks.apps.train.rows import RECIPES, title
from lt_callbacks.apps.train.training import NUM_ROLES
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.teachers import ModuleTeacher, load_checkpoint

TEACHER_GROUPS = ("imbalance_teacher", "noise_teacher")

#: Where a step's teacher predictions come from.
TEACHERS = ("live", "cached")


def check_settings(config: TrainConfig) -> None:
    """Refuse every mistake that can be told from the settings alone."""
    check_run(config, num_roles=NUM_ROLES)
    if config.ckpt_path not in (None, "last"):
        raise ArgumentValueError(
            "ckpt_path",
            rule="be 'last' or null, since a run has many trainings",
            got=repr(config.ckpt_path),
            way_out="To start from a teacher of your own, set noise_teacher=checkpoint or "
            "imbalance_teacher=checkpoint.",
        )
    if config.checkpoint_every_seconds is not None:
        real("checkpoint_every_seconds", config.checkpoint_every_seconds, at_least=0.0)
    if config.checkpoint_every_n_steps is not None:
        integer("checkpoint_every_n_steps", config.checkpoint_every_n_steps, at_least=1)
    integer("test_every_n_epochs", config.test_every_n_epochs, at_least=0)
    check_methods(config.methods, RECIPES)
    check_model_row(config)
    for group in TEACHER_GROUPS:
        _check_teacher(group, getattr(config, group))
    _check_step_teachers(config)
    check_targets("callbacks", config.callbacks, Callback)
    check_targets("logger", config.logger, Logger)


def check_train_places(config: TrainConfig) -> None:
    """Refuse folders and files that could not be written to when what they are for has been trained."""
    check_output(config, folders=("phases", *["networks"] * config.save_networks))
    check_methods(config.methods, RECIPES)
    roles = {role for method in config.methods for role in RECIPES[method].needs}
    is_cached = config.teachers == "cached" and any(RECIPES[method].dsink for method in config.methods)
    keeps_teachers = is_cached or any(getattr(config, f"{role}_teacher").checkpoint is None for role in roles)
    check_results_and_store(
        config,
        titles=[title(method, config) for method in config.methods],
        store_folders=("jobs", *["predictions"] * is_cached) if keeps_teachers else None,
    )


def check_parts(config: TrainConfig, source: Source) -> LongTailedDataModule:
    """Build everything once that the run will need, and throw it away, so that the constructors check their ranges.

    Returns:
        The data of the first seed.
    """
    check_test_set(source)
    with named(names_in("dsink", DSinkConfig)):
        for name in ("dsink", *config.methods):
            make_dsink = RECIPES[name].dsink
            if make_dsink is not None:
                make_dsink(config, ModuleTeacher(nn.Identity()), ModuleTeacher(nn.Identity()))
    build_targets("callbacks", config.callbacks, Callback)
    build_trainer(config)
    datamodule = build_datamodule(config, source, seed=config.seed)
    with isolate_rng():
        build_classifier(config, datamodule, group="objective")
        for group in TEACHER_GROUPS:
            teacher: TeacherConfig = getattr(config, group)
            classifier = build_classifier(config, datamodule, group=group, learning_rate=teacher.learning_rate)
            if teacher.checkpoint is not None:
                with named({"path": f"{group}.checkpoint"}):
                    load_checkpoint(teacher.checkpoint, classifier.network)
    return datamodule


def _check_step_teachers(config: TrainConfig) -> None:
    one_of("teachers", config.teachers, TEACHERS)
    integer("cached_views", config.cached_views, at_least=0)
    if config.cached_views and config.teachers != "cached":
        raise ArgumentValueError(
            "cached_views",
            rule="be 0 with live teachers, which see the views of each step",
            got=str(config.cached_views),
            way_out="Set teachers=cached, or leave it out.",
        )


def _check_teacher(group: str, teacher: TeacherConfig) -> None:
    if teacher.checkpoint == "":
        raise ArgumentValueError(
            f"{group}.checkpoint", rule="be given", got="''", way_out=f"Set {group}.checkpoint=..."
        )
    if teacher.checkpoint is None:
        if teacher.max_epochs is not None:
            integer(f"{group}.max_epochs", teacher.max_epochs, at_least=1)
        return
    for name in ("settings", "max_epochs", "learning_rate"):
        value = getattr(teacher, name)
        if value not in (None, {}):
            raise ArgumentValueError(
                f"{group}.{name}",
                rule="be left out with a checkpoint, which is not trained",
                got=repr(value),
                way_out="Remove one of the two.",
            )
