# Legend: C classes, N distilled images.
from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from lightning.pytorch import Trainer
from torch import nn

from lt_callbacks._checks import as_path
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.dataset_distillation.distiller import Distiller, OnStep
from lt_callbacks.dataset_distillation.ensemble import MeanLogits
from lt_callbacks.dataset_distillation.real_images import RealImages
from lt_callbacks.dataset_distillation.student import Student
from lt_callbacks.dataset_distillation.view_loader import ViewLoader
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, Views
from lt_callbacks.relabel import Calibration, RelabelledFolder, RelabelSettings, RelabelTask, network_source, relabel
from lt_callbacks.relabel.folder import LABELS
from lt_callbacks.relabel.prior import prior_of_datamodule
from lt_callbacks.teachers.isolated_seed import isolated_seed


@dataclass(frozen=True, kw_only=True, eq=False)
class DistilledDataset:
    """The outcome of `distill_dataset`: the student, and all that was made on the way.

    Attributes:
        networks: Trained on the real images.
        distilled: The images.
        calibration: ADSA's tau and what is known about it.
        labels: The calibrated labels in the output folder.
        student: Trained on images and labels alone.
    """

    networks: tuple[nn.Module, ...]
    distilled: DistilledSet
    calibration: Calibration
    labels: SoftLabels
    student: Student


def distill_dataset(
    datamodule: LongTailedDataModule,
    *,
    squeeze: Callable[[LongTailedDataModule], Sequence[nn.Module]],
    distiller: Distiller,
    images_per_class: int,
    student: Callable[[], Student],
    trainer: Callable[[int], Trainer],
    output: str | os.PathLike[str],
    relabelling: RelabelSettings | None = None,
    batch_size: int = 50,
    num_passes: int = 400,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_step: OnStep | None = None,
) -> DistilledDataset:
    """Condense a long-tailed data set to a few images a class with unbiased soft labels, and train a student on them.

    Squeeze (train networks on the data), recover (make images through them), relabel (their mean logits of every view,
    calibrated by ADSA), student. `lt-distill` takes the same steps, keeps each in a store and compares students.

    Args:
        datamodule: The real images, in memory.
        squeeze: Trains networks on the data; each returns (B, C) logits of normalised images.
        distiller: Makes the images.
        images_per_class: >= 1.
        student: Makes a fresh student.
        trainer: Makes the student's trainer of a number of epochs, on ``device``.
        output: Folder of the relabelled set; new, or left by a run that was stopped while it labelled.
        relabelling: How tau is fitted and which views are labelled; None: the defaults.
        batch_size: Samples a step of the student.
        num_passes: Of the student over the distilled images, each with the next view.
        seed: Of all random choices; the caller's random state is left as it was.
        device: Where images and labels are made, and the networks are moved to.
        on_step: Is told how far the making of the images is.

    Returns:
        The student, and all that was made on the way.

    Raises:
        TypeError, ValueError: A setting is out of range, or the output folder holds something else.

    Example:
        made = distill_dataset(
            datamodule,
            squeeze=lambda data: [train_my_network(data)],
            distiller=EDC(num_steps=100),
            images_per_class=10,
            student=lambda: Student(network=MyNet(), loss=StudentLoss(), optimisation=Optimisation()),
            trainer=lambda epochs: Trainer(max_epochs=epochs, accelerator="cpu"),
            output="distilled-adsa",
        )
    """
    settings, folder = relabelling or RelabelSettings(), RelabelledFolder(as_path("output", output))
    folder.check()

    with isolated_seed(seed):
        networks = tuple(network.to(device).eval() for network in squeeze(datamodule))

    distilled = recover_images(
        distiller, datamodule, networks, images_per_class=images_per_class, seed=seed, device=device, on_step=on_step
    )

    prior = prior_of_datamodule(datamodule, distilled)
    task = RelabelTask(distilled=distilled, class_prior=prior, prior_source="datamodule", settings=settings)
    calibration = relabel(task, network_source(MeanLogits(networks).eval()), folder).calibration
    labels = SoftLabels.open(folder.folder / LABELS, distilled=distilled)

    batches = ViewLoader(
        views=Views(distilled, settings.views, device=device),
        classes=distilled.intended_class,
        labels=labels,
        batch_size=batch_size,
        num_passes=num_passes,
        seed=seed,
    )
    trained = train_student(student, batches, trainer=trainer, seed=seed)
    return DistilledDataset(
        networks=networks, distilled=distilled, calibration=calibration, labels=labels, student=trained
    )


def recover_images(
    distiller: Distiller,
    datamodule: LongTailedDataModule,
    networks: Sequence[nn.Module],
    *,
    images_per_class: int,
    seed: int,
    device: torch.device | str,
    on_step: OnStep | None = None,
) -> DistilledSet:
    """Distil a datamodule's training images, as a function of the seed; see :meth:`Distiller.distil`.

    Its provenance names the manifest, which says what the data was.
    """
    with isolated_seed(seed):
        return distiller.distil(
            RealImages.of(datamodule, device=device),
            networks,
            images_per_class=images_per_class,
            seed=seed,
            provenance={"manifest_sha256": datamodule.manifest.sha256},
            on_step=on_step,
        )


def train_student(
    make: Callable[[], Student], batches: ViewLoader, *, trainer: Callable[[int], Trainer], seed: int
) -> Student:
    """Train a fresh student on all passes over a distilled set.

    Args:
        make: Makes it with random weights from the global generators.
        batches: Views with what is learned from.
        trainer: Makes its trainer, of a number of epochs.
        seed: Of its weights and of all that is random in its training; the caller's random state is left as it was.
    """
    with isolated_seed(seed):
        student = make()
        trainer(batches.num_epochs).fit(student, train_dataloaders=batches)
    return student
