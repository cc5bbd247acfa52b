"""`lt-bench training`: two teachers and a D-SINK student from start to end, beside a script written by hand."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.apps.shared.quiet import be_quiet
from lt_callbacks.bench.document import BenchDocument
from lt_callbacks.bench.images import build_datamodule, build_source
from lt_callbacks.bench.students import Student
from lt_callbacks.bench.training_reference import Hyperparameters, TrainingData, TrainingOutcome, train_by_hand
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.methods import Classifier, Optimisation
from lt_callbacks.models import build_model
from lt_callbacks.plugins import DSink
from lt_callbacks.teachers import FrozenTeacher, cache, train_teachers

OURS, CACHED, REFERENCE = "ours", "ours, cached teachers", "written by hand"
WAYS = (OURS, CACHED, REFERENCE)


@dataclass(frozen=True, kw_only=True)
class TrainingSetting:
    """What is trained: a model on a data set, by given hyperparameters.

    Attributes:
        hyperparameters: Of every way, see `Hyperparameters`.
        model: See `lt_callbacks.models.build_model`.
        data: See `lt_callbacks.bench.images.build_source`.
        num_classes: C of made-up images.
        num_train: Of made-up training images, before they become long-tailed.
        num_test: Of made-up test images.
        precision: Of ours: ``"32-true"`` or ``"bf16-mixed"``.
        channels_last: Memory format of ours.
    """

    hyperparameters: Hyperparameters
    model: str = "resnet8_half"
    data: str | None = None
    num_classes: int = 10
    num_train: int = 4000
    num_test: int = 1000
    precision: str = "32-true"
    channels_last: bool = False


def run(
    setting: TrainingSetting,
    *,
    output: Path,
    command: str,
    device: str,
    seeds: Sequence[int],
    ways: Sequence[str] = WAYS,
    say: Callable[[str], None] = lambda _: None,
) -> BenchDocument:
    """Train in all ways with each seed that the document in ``output`` lacks; who begins changes by seed."""
    be_quiet()
    settings = {
        **{name: value for name, value in vars(setting).items() if name != "hyperparameters"},
        "data": None if setting.data is None else Path(setting.data).name,
        # The key of documents that are older than the word.
        "common": vars(setting.hyperparameters),
        "device": device,
        "ways": list(ways),
    }
    document = BenchDocument(output / "bench-training.json", kind="training", settings=settings, command=command)
    is_warm = False
    for seed in seeds:
        name = f"seed {seed}"
        if name in document.measurements:
            say(f"{name}: kept from {document.path.name}")
            continue
        if not is_warm:
            say("warming up")
            _warm_up(setting, device, ways)
            is_warm = True
        source = build_source(
            setting.data,
            num_classes=setting.num_classes,
            num_train=setting.num_train,
            num_test=setting.num_test,
            seed=seed,
        )
        rows: dict[str, Any] = {}
        for way in list(ways) if seed % 2 == 0 else list(ways)[::-1]:
            say(f"{name}: {way}")
            rows[way] = _row(train(way, source, setting, device=device, seed=seed))
        document.add(name, {"seed": seed, "rows": {way: rows[way] for way in ways}, "ratios": training_ratios(rows)})
    return document


def train(way: str, source: Source, setting: TrainingSetting, *, device: str, seed: int) -> TrainingOutcome:
    """Train two teachers and a student in one of `WAYS`."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # of the hand-written script's transforms, as scripts have it
    datamodule = build_datamodule(source, batch_size=setting.hyperparameters.batch_size, seed=seed)

    def network() -> nn.Module:
        return build_model(setting.model, num_classes=source.num_classes, in_channels=source.image_shape[0])

    if way == REFERENCE:
        return train_by_hand(as_arrays(source, datamodule), network, setting.hyperparameters, device)
    return _train_ours(datamodule, network, setting, device=device, seed=seed, is_cached=way == CACHED)


def _train_ours(
    datamodule: LongTailedDataModule,
    network: Callable[[], nn.Module],
    setting: TrainingSetting,
    *,
    device: str,
    seed: int,
    is_cached: bool,
) -> TrainingOutcome:
    hyperparameters = setting.hyperparameters
    optimisation = Optimisation(
        learning_rate=hyperparameters.learning_rate,
        momentum=hyperparameters.momentum,
        weight_decay=hyperparameters.weight_decay,
    )
    options = _trainer_options(setting, device)

    def module() -> Classifier:
        return Classifier(network=network(), optimisation=optimisation, channels_last=setting.channels_last)

    began = time.perf_counter()
    imbalance, noise = train_teachers(
        module,
        datamodule,
        noise_settings={"beta": hyperparameters.elr_beta, "regularization": hyperparameters.elr_regularization},
        # The reference does not validate its teachers either.
        trainer={**options, "limit_val_batches": 0},
        seed=seed,
        store=None,
    )
    trained = time.perf_counter()
    used: list[FrozenTeacher] = [noise, imbalance]
    if is_cached:
        used = [cache(teacher, datamodule, trainer=options) for teacher in (noise, imbalance)]
    torch.manual_seed(seed)
    student = Student(network=network(), optimisation=optimisation, channels_last=setting.channels_last)
    dsink = DSink(
        noise_teacher=used[0],
        imbalance_teacher=used[1],
        alpha=hyperparameters.alpha,
        tolerance=hyperparameters.tolerance,
        max_iterations=hyperparameters.max_iterations,
    )
    student.attach_dsink(dsink)
    clock = EpochClock()
    Trainer(**options, callbacks=[clock]).fit(student, datamodule=datamodule)
    if device == "cuda":
        torch.cuda.synchronize()
    finished = time.perf_counter()
    return TrainingOutcome(
        teacher_seconds=trained - began,
        student_seconds=finished - trained,
        epoch_seconds=[after - before for before, after in zip([trained, *clock.ends], clock.ends, strict=False)],
        accuracy=_accuracy(student, datamodule, device),
    )


def _trainer_options(setting: TrainingSetting, device: str) -> dict[str, Any]:
    return {
        "max_epochs": setting.hyperparameters.epochs,
        "accelerator": "gpu" if device == "cuda" else "cpu",
        "devices": 1,
        "precision": setting.precision,
        "logger": False,
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
    }


class EpochClock(Callback):
    """Notes when each epoch of a training ended, by the host's clock."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the time after each training epoch; the device is not waited for."""
        self.ends.append(time.perf_counter())


def as_arrays(source: Source, datamodule: LongTailedDataModule) -> TrainingData:
    """The corrupted training set and the test set as arrays, channels last.

    Raises:
        ValueError: The data set has no test set, or its images are files.
    """
    if source.test is None or not isinstance(source.train.images, Tensor) or not isinstance(source.test.images, Tensor):
        raise ArgumentValueError(
            "--data",
            rule="have training and test images in memory",
            got=f"{source.name!r}, which has not",
            way_out="Use CIFAR or arrays.",
        )
    indices = torch.from_numpy(datamodule.manifest.indices)
    return TrainingData(
        images=source.train.images[indices].permute(0, 2, 3, 1).contiguous().numpy(),
        labels=datamodule.given_labels.copy(),
        test_images=source.test.images.permute(0, 2, 3, 1).contiguous().numpy(),
        test_labels=source.test.labels,
        num_classes=source.num_classes,
        mean=source.mean,
        std=source.std,
        crop_padding=source.crop_padding,
        flip=source.flip,
    )


@torch.no_grad()
def _accuracy(student: Classifier, datamodule: LongTailedDataModule, device: str) -> float:
    student = student.to(device).eval()
    right = total = 0
    for images, labels, _ in datamodule.test_dataloader():
        predicted = student(images.to(device)).argmax(dim=1).cpu()
        right, total = right + int((predicted == labels.cpu()).sum()), total + len(labels)
    return 100 * right / total


def training_ratios(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How many times longer the script written by hand takes than each of our ways, with one seed."""
    if REFERENCE not in rows:
        return {}
    reference = rows[REFERENCE]
    found = {}
    for way, row in rows.items():
        if way != REFERENCE:
            found[f"{REFERENCE} / {way}, total"] = round(reference["total_seconds"] / row["total_seconds"], 3)
            found[f"{REFERENCE} / {way}, student epoch"] = round(
                statistics.median(reference["epoch_seconds"]) / statistics.median(row["epoch_seconds"]), 3
            )
    return found


def _row(outcome: TrainingOutcome) -> dict[str, Any]:
    return {
        "total_seconds": round(outcome.teacher_seconds + outcome.student_seconds, 4),
        "teacher_seconds": round(outcome.teacher_seconds, 4),
        "student_seconds": round(outcome.student_seconds, 4),
        "epoch_seconds": [round(seconds, 4) for seconds in outcome.epoch_seconds],
        "accuracy": round(outcome.accuracy, 2),
    }


def _warm_up(setting: TrainingSetting, device: str, ways: Sequence[str]) -> None:
    """What first calls load, compile and choose is not the time of a training."""
    small = replace(setting, data=None, hyperparameters=replace(setting.hyperparameters, epochs=1))
    source = build_source(
        None, num_classes=setting.num_classes, num_train=4 * setting.hyperparameters.batch_size, num_test=16, seed=0
    )
    for way in ways:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train(way, source, small, device=device, seed=0)
