"""From the settings of `lt-distill` to the objects that do the work; a refusal names the setting as it is typed."""

from __future__ import annotations

from dataclasses import fields

from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.apps.config.default_network import network_name
from lt_callbacks.apps.config.distill_schemas import DistillConfig, DistillerConfig, StudentConfig, ViewsConfig
from lt_callbacks.apps.config.errors import named, names_in
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.dataset_distillation import DISTILLERS, Distiller, Student, StudentLoss, build_distiller
from lt_callbacks.distilled_set import ViewSettings
from lt_callbacks.methods import Optimisation
from lt_callbacks.models import build_model

_STUDENT_NAMES = {**names_in("student", StudentConfig), "kind": "student.loss"}
_VIEW_NAMES = names_in("views", ViewsConfig)


def chosen_distiller(chosen: DistillerConfig) -> Distiller:
    """The distiller with its settings."""
    kind = DISTILLERS[one_of("distiller.name", chosen.name, DISTILLERS)]
    known = [field.name for field in fields(kind)]
    for name in chosen.settings:
        if not known:
            raise ArgumentValueError(
                "distiller.settings",
                rule=f"be empty for {chosen.name!r}, which has none",
                got=repr(name),
                way_out="Leave it out.",
            )
        one_of("distiller.settings", name, known)
    with named({name: f"distiller.settings.{name}" for name in known}):
        return build_distiller(chosen.name, settings=chosen.settings)


def view_settings(config: DistillConfig, source: Source, *, seed: int) -> ViewSettings:
    """The views of a seed; images are mirrored where the data set allows it, unless the settings say otherwise."""
    chosen = config.views
    with named(_VIEW_NAMES):
        return ViewSettings(
            seed=seed,
            crop=chosen.crop,
            crop_padding=chosen.crop_padding,
            crop_area=tuple(chosen.crop_area),  # type: ignore[arg-type]
            flip=source.flip if chosen.flip is None else chosen.flip,
            mix=chosen.mix,
            mix_alpha=chosen.mix_alpha,
        )


def student_loss(config: DistillConfig, *, is_hard: bool) -> StudentLoss:
    """What the student of a row minimises."""
    chosen = config.student
    with named(_STUDENT_NAMES):
        return StudentLoss(
            kind="hard" if is_hard else chosen.loss, temperature=chosen.temperature, hard_weight=chosen.hard_weight
        )


def build_student(config: DistillConfig, datamodule: LongTailedDataModule, *, loss: StudentLoss) -> Student:
    """A fresh student with random weights from torch's global generator."""
    chosen = config.student
    with named(names_in("model", type(config.model))):
        network = build_model(
            network_name(config.model.name, datamodule.image_shape),
            num_classes=datamodule.num_classes,
            in_channels=datamodule.image_shape[0],
            width=config.model.width,
        )
    with named(_STUDENT_NAMES):
        return Student(
            network=network,
            loss=loss,
            optimisation=Optimisation(
                optimizer=chosen.optimizer,
                learning_rate=chosen.learning_rate,
                weight_decay=chosen.weight_decay,
                schedule=chosen.schedule,
            ),
            ema_decay=chosen.ema_decay,
            channels_last=config.model.channels_last,
        )
