# Legend: C classes.
from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from lt_callbacks.apps.config.build import build_datamodule, build_trainer
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.distill.build import view_settings
from lt_callbacks.apps.distill.squeeze import squeeze
from lt_callbacks.apps.distill.store import DistilledStore
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.dataset_distillation import MeanLogits, build_distiller, recover_images
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, Views, ViewSettings, write_soft_labels
from lt_callbacks.relabel import Calibration, LogitSource, RelabelSettings, RelabelTask, find_calibration
from lt_callbacks.relabel.source import logits_of

#: Images in a forward pass.
BATCH_SIZE = 256


@dataclass
class DistillStages:
    """Squeeze, recover and relabel for one seed: networks, images, labels and tau that all students share.

    Each is worked on when a row first needs it, and kept in the store, where the next run finds it.

    Args:
        config: The run's settings.
        source: The clean data.
        seed: Training seed; the corruption seed follows it unless ``config`` fixes one.
        progress: Where to show it.

    Attributes:
        datamodule: The corrupted data.
        seconds: Stage -> seconds that it took in this run; next to nothing where its files were reused.
    """

    config: DistillConfig
    source: Source
    seed: int
    progress: RunProgress
    datamodule: LongTailedDataModule = field(init=False)
    seconds: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.datamodule = build_datamodule(self.config, self.source, seed=self.seed)
        self._store = DistilledStore(Path(self.config.store).expanduser())
        self._calibrations: dict[str, Calibration] = {}

    @cached_property
    def device(self) -> torch.device:
        """Where images and labels are made."""
        return build_trainer(self.config).strategy.root_device

    # Squeeze.

    @property
    def networks(self) -> Sequence[nn.Module]:
        """The networks, trained on the real images or from the store."""
        return self._squeezed[0]

    @property
    def network_keys(self) -> list[str]:
        """Keys of the networks in the store: they say what each was trained with and on."""
        return self._squeezed[1]

    @cached_property
    def _squeezed(self) -> tuple[Sequence[nn.Module], list[str]]:
        started = time.monotonic()
        networks, keys = squeeze(self.config, self.datamodule, seed=self.seed, progress=self.progress)
        self.seconds["squeeze"] = time.monotonic() - started
        return [network.to(self.device) for network in networks], keys

    @cached_property
    def teacher(self) -> MeanLogits:
        """The networks as one, with the mean of their logits."""
        return MeanLogits(self.networks).eval()

    # Recover.

    @property
    def distilled(self) -> DistilledSet:
        """The distilled images, made or from the store."""
        return self._recovered[0]

    @cached_property
    def _recovered(self) -> tuple[DistilledSet, str]:
        chosen = self.config.distiller
        distiller = build_distiller(chosen.name, settings=chosen.settings)
        networks, keys = self._squeezed if distiller.needs_networks else ([], [])
        settings = {
            "distiller": distiller.name,
            "settings": distiller.settings(),
            "images_per_class": chosen.images_per_class,
            "seed": self.seed,
            "networks": keys,
            "data": self.datamodule.fingerprint,
        }
        name, started = f"seed {self.seed}, recover ({distiller.name})", time.monotonic()

        def make() -> DistilledSet:
            with self.progress.stage(name) as on_step:
                return recover_images(
                    distiller,
                    self.datamodule,
                    networks,
                    images_per_class=chosen.images_per_class,
                    seed=self.seed,
                    device=self.device,
                    on_step=on_step,
                )

        distilled, key, is_reused = self._store.get_or_make(settings, make)
        if is_reused:
            self.progress.skip(name, "reused from the store")
        self.seconds["recover"] = time.monotonic() - started
        return distilled, key

    # Relabel.

    @cached_property
    def views(self) -> ViewSettings:
        """How the distilled images are varied."""
        return view_settings(self.config, self.source, seed=self.seed)

    @cached_property
    def labels(self) -> SoftLabels:
        """The networks' logits of every view, uncalibrated: made, or from the store."""
        distilled, key = self._recovered
        # Trained here where the images did without them; not a part of the relabelling's seconds.
        networks = self.network_keys
        name, started = f"seed {self.seed}, relabel", time.monotonic()
        total = self.config.views.num_views
        with self._store.labels(
            key,
            distilled,
            networks=networks,
            precision=self.config.trainer.precision,
            views=self.views,
            num_views=total,
        ) as labels:
            missing = len(labels.missing_views())
            if missing:
                done = iter(range(total - missing + 1, total + 1))
                with self.progress.stage(name) as on_step:
                    write_soft_labels(
                        self.teacher,
                        Views(distilled, self.views, device=self.device),
                        labels,
                        batch_size=BATCH_SIZE,
                        on_view=lambda _: on_step(next(done), total),
                    )
            else:
                self.progress.skip(name, "reused from the store")
        self.seconds["relabel"] = time.monotonic() - started
        return labels

    @cached_property
    def class_prior(self) -> Tensor:
        """(C,) counts of the given labels that the networks were trained on."""
        return torch.tensor(self.datamodule.class_counts, dtype=torch.float64)

    @cached_property
    def task(self) -> RelabelTask:
        """The relabelling that the run's settings ask for."""
        return RelabelTask(
            distilled=self.distilled,
            class_prior=self.class_prior,
            prior_source="datamodule",
            settings=RelabelSettings(
                fit_on=self.config.adsa.fit_on,
                num_fit_views=self.config.adsa.num_fit_views,
                views=self.views,
                num_views=self.config.views.num_views,
                shrink_to=self.config.adsa.shrink_to,
                batch_size=BATCH_SIZE,
            ),
        )

    @cached_property
    def logits(self) -> LogitSource:
        """The networks' mean logits, computed in float32 whatever they were trained in."""
        return LogitSource(
            of=logits_of(self.teacher), device=self.device, networks=tuple(self.network_keys), precision="32-true"
        )

    def calibration(self, fit_on: str | None = None) -> Calibration:
        """ADSA's tau from the distilled images alone, fitted once for each kind of views.

        Args:
            fit_on: The views that it is fitted on; None: those that the settings name.
        """
        fit_on = fit_on or self.config.adsa.fit_on
        if fit_on not in self._calibrations:
            task = replace(self.task, settings=replace(self.task.settings, fit_on=fit_on))
            self._calibrations[fit_on] = find_calibration(task, self.logits)
        return self._calibrations[fit_on]
