from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lt_callbacks.apps.config.build import build_classifier, build_trainer
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.methods import Classifier
from lt_callbacks.teachers import TeacherStore
from lt_callbacks.teachers.isolated_seed import isolated_seed

#: The n-th network of a seed starts from ``seed * NUM_ROLES + n``; students from the last role.
NUM_ROLES = 32


class Network(nn.Module):
    """A trained classifier's network alone, in the memory format that it was trained in."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network = classifier.network
        self.memory_format = classifier.memory_format

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) images to (B, C) logits."""
        return self.network(images.contiguous(memory_format=self.memory_format))


def squeeze(
    config: DistillConfig, datamodule: LongTailedDataModule, *, seed: int, progress: RunProgress
) -> tuple[list[Network], list[str]]:
    """Train the networks of ``config.networks`` on the data, or take them from the store.

    Returns:
        The networks, on the CPU and frozen, and their keys in the store.
    """
    store = TeacherStore(Path(config.store).expanduser() / "teachers")
    networks, keys = [], []
    for place, name in enumerate(config.networks):
        settings = squeeze_settings(config, name, seed=seed, role=place)
        shown = f"seed {seed}, squeeze ({name})"
        with isolated_seed(seed * NUM_ROLES + place):
            chosen: Any = replace(config, model=replace(config.model, name=name, width=None))
            classifier = build_classifier(chosen, datamodule, group="objective")

            def train(_: nn.Module, classifier: Classifier = classifier, shown: str = shown) -> None:
                with progress.training(shown) as bar:
                    trainer = build_trainer(chosen, callbacks=[bar])  # noqa: B023
                    trainer.fit(classifier, datamodule=datamodule)

            is_reused = store.get_or_train(
                classifier.network, settings=settings, fingerprint=datamodule.fingerprint, train=train
            )
        if is_reused:
            progress.skip(shown, "reused from the store")
        # Trained at a lower precision, they see images in float32 none the less, as those from the store do.
        networks.append(Network(classifier).float().eval().requires_grad_(False))
        keys.append(store.key(settings, datamodule.fingerprint))
    return networks, keys


def squeeze_settings(config: DistillConfig, name: str, *, seed: int, role: int) -> dict[str, Any]:
    """What a network depends on besides the data."""
    optimisation = dict(vars(config.optimisation))
    return {
        "model": {"name": name, "channels_last": config.model.channels_last},
        "objective": {"name": config.objective.name, "settings": dict(config.objective.settings)},
        "optimisation": {**optimisation, "milestones": list(optimisation["milestones"])},
        "max_epochs": config.trainer.max_epochs,
        "batch_size": config.data.batch_size,
        "precision": config.trainer.precision,
        "gradient_clip_val": config.trainer.gradient_clip_val,
        "devices": config.trainer.devices,
        "seed": seed,
        "role_seed": role,
    }
