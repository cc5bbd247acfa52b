from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lt_callbacks.apps.config.build import build_classifier, build_trainer
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.shared.description import describe_training
from lt_callbacks.apps.shared.kept_network import keep_if_there_is_room, take_network
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.methods import Classifier, ClassifierNetwork
from lt_callbacks.teachers import TeacherStore
from lt_callbacks.teachers.description import TrainingDescription
from lt_callbacks.teachers.train_network import train_network

#: The n-th network of a seed starts from ``seed * NUM_ROLES + n``; students from the last role.
NUM_ROLES = 32


def squeeze(
    config: DistillConfig, datamodule: LongTailedDataModule, *, seed: int, progress: RunProgress
) -> tuple[list[ClassifierNetwork], list[str]]:
    """Train the networks of ``config.networks`` on the data, or take them from the store.

    Returns:
        The networks, on the CPU and frozen, and their keys in the store.
    """
    store = TeacherStore(Path(config.store).expanduser() / "teachers")
    networks, keys = [], []
    for place, name in enumerate(config.networks):
        description = describe_squeeze(config, datamodule, seed=seed, place=place)
        shown = f"seed {seed}, squeeze ({name})"
        found = _trained(settings_of_network(config, place), datamodule, description, store, progress, shown)
        networks.append(ClassifierNetwork(found).eval().requires_grad_(False))
        keys.append(description.key)
    return networks, keys


def _trained(
    config: DistillConfig,
    datamodule: LongTailedDataModule,
    description: TrainingDescription,
    store: TeacherStore,
    progress: RunProgress,
    shown: str,
) -> Classifier:
    unfinished = store.unfinished(description.key)

    def train(classifier: Classifier) -> None:
        if take_network(unfinished, classifier.network) is not None:
            progress.skip(shown, "trained before")
            return
        with progress.training(shown) as bar:
            build_trainer(config, callbacks=[bar]).fit(classifier, datamodule=datamodule)
        # Until the store has it, which removes this.
        keep_if_there_is_room(unfinished, classifier.network, {}, name=shown, say=progress.say)

    found = train_network(
        lambda: build_classifier(config, datamodule, group="objective"),
        train,
        description=description,
        store=store,
        stored_part=lambda classifier: classifier.network,
    )
    if found.is_reused:
        progress.skip(shown, "reused from the store")
    return found.module


def settings_of_network(config: DistillConfig, place: int) -> DistillConfig:
    """The settings of one of the networks, of its usual width: the setting ``width`` is the students'."""
    chosen: Any = replace(config, model=replace(config.model, name=config.networks[place], width=None))
    return chosen


def describe_squeeze(
    config: DistillConfig, datamodule: LongTailedDataModule, *, seed: int, place: int
) -> TrainingDescription:
    """All that the network at ``place`` of ``config.networks`` depends on."""
    chosen = settings_of_network(config, place)
    return describe_training(chosen, datamodule, group="objective", start_seed=seed * NUM_ROLES + place)
