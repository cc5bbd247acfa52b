from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks._files import canonical_json, sha256
from lt_callbacks.corruption import Imbalance, Manifest, Noise, build_manifest
from lt_callbacks.data.build_loader import build_loader
from lt_callbacks.data.epoch_loader import EpochLoader
from lt_callbacks.data.fingerprint import data_fingerprint
from lt_callbacks.data.image_set import ImageSet, Source, checked_source
from lt_callbacks.data.manifest_fits import fitting_manifest
from lt_callbacks.data.validation_split import held_out

RESIDENCES = ("auto", "device", "workers")
SAMPLINGS = ("shuffled", "class_balanced")

#: Largest training set, in bytes of uint8 pixels, that ``residence="auto"`` puts on the training device.
DEVICE_LIMIT_BYTES = 4 * 2**30


class LongTailedDataModule(L.LightningDataModule):
    """A data set, made long-tailed and noisy where that is asked for, as batches of ``(image, given_label, index)``.

    The index is the position in the manifest, the sample's identity whatever the sampler; in test batches it is the
    position in the test set. Order and augmentation depend on (seed, epoch, index) alone, so that a resumed run goes on
    as if it had not stopped. Under several ranks no sample is repeated: every rank gets its share, see `EpochOrder`.

    Args:
        source: The data set; ``SOURCES`` has the named ones.
        imbalance: Which samples stay. Default: all.
        noise: Which of their labels become wrong. Default: none.
        corruption_seed: Of imbalance, noise and the held-out share; >= 0.
        seed: Of order and augmentation; >= 0.
        manifest: A manifest or its file, in place of ``imbalance`` and ``noise``; ``corruption_seed`` is then only
            that of the held-out share.
        validation_fraction: Share of the corrupted training set that is held out, in [0, 1), in equal shares of the
            given labels' classes. A class keeps at least one training sample. 0: no validation.
        batch_size: Training samples a step on each rank.
        eval_batch_size: Samples a step on each rank in validation, test and prediction.
        augment: Whether training images are cropped and mirrored at random, as ``source`` says.
        residence: ``"device"``: images in memory live on the training device and are augmented there; ``"workers"``:
            worker processes make the batches, for image files and sets too large for the device; ``"auto"``: by kind
            and size.
        num_workers: Worker processes of each loader; read with residence ``"workers"`` only.
        sampling: How training samples come. ``"shuffled"``: each once an epoch. ``"class_balanced"``: as many draws
            with replacement, in which all classes of the given labels come equally often; see `ClassBalance`. A sample
            drawn several times in an epoch is shown in the same view. An objective that corrects for the imbalance
            itself would then do so twice.

    Attributes:
        manifest: What was done to the labels.
        num_classes: C.
        num_samples: Samples in the manifest: the size of a memory by index.
        class_names: C strings.
        image_shape: (channels, height, width) of a batch's images.
        given_labels: (num_samples,) int64, by index.
        true_labels: (num_samples,) int64, by index; None where nobody knows them.
        train_indices: Ascending int64 indices that are trained on.
        val_indices: Ascending int64 indices that are held out.
        class_counts: (C,) int64, given labels in ``train_indices``.
        true_class_counts: (C,) int64, true labels in ``train_indices``; None where nobody knows them.
        shot_class_counts: (C,) int64, what many, medium and few are told by: ``true_class_counts`` or, where nobody
            knows them, ``class_counts``.
        residence: ``"device"`` or ``"workers"``.
        fingerprint: SHA-256 of images, labels, split, view and sampling.

    Raises:
        TypeError, ValueError: A setting is unknown or out of range, or the manifest was made from other data.
    """

    def __init__(
        self,
        *,
        source: Source,
        imbalance: Imbalance | None = None,
        noise: Noise | None = None,
        corruption_seed: int = 0,
        seed: int = 0,
        manifest: Manifest | str | os.PathLike[str] | None = None,
        validation_fraction: float = 0.1,
        batch_size: int = 128,
        eval_batch_size: int = 512,
        augment: bool = True,
        residence: str = "auto",
        num_workers: int = 2,
        sampling: str = "shuffled",
    ) -> None:
        super().__init__()
        self.source = checked_source(source)
        self.corruption_seed = integer("corruption_seed", corruption_seed, at_least=0)
        self.seed = integer("seed", seed, at_least=0)
        self.validation_fraction = real("validation_fraction", validation_fraction, at_least=0.0, below=1.0)
        self.batch_size = integer("batch_size", batch_size, at_least=1)
        self.eval_batch_size = integer("eval_batch_size", eval_batch_size, at_least=1)
        if not isinstance(augment, bool):
            raise ArgumentTypeError(
                "augment", rule="be True or False", got=repr(augment), way_out="The source says how to augment."
            )
        self.augment = augment
        self.residence = _residence(residence, source.train)
        self.num_workers = integer("num_workers", num_workers, at_least=0)
        self.sampling = one_of("sampling", sampling, SAMPLINGS)

        self.num_classes = source.num_classes
        self.class_names = source.class_names
        self.image_shape = source.image_shape
        self.manifest = (
            self._build_manifest(imbalance, noise) if manifest is None else fitting_manifest(manifest, source)
        )
        self.num_samples = len(self.manifest)
        self.given_labels: np.ndarray = self.manifest.given_labels
        self.true_labels: np.ndarray | None = self.manifest.true_labels

        self.val_indices = held_out(
            self.given_labels,
            self.manifest.indices,
            fraction=self.validation_fraction,
            seed=self.corruption_seed,
            purpose="validation",
        )
        self.train_indices = np.setdiff1d(np.arange(self.num_samples), self.val_indices, assume_unique=True)
        self.class_counts = np.bincount(self.given_labels[self.train_indices], minlength=self.num_classes)
        self.true_class_counts = (
            None
            if self.true_labels is None
            else np.bincount(self.true_labels[self.train_indices], minlength=self.num_classes)
        )
        self.shot_class_counts = self.class_counts if self.true_class_counts is None else self.true_class_counts
        self._train_loader: EpochLoader | None = None
        self._resume_from: dict[str, Any] | None = None
        self._tensors_on: torch.device | None = None
        self._tensors: dict[str, tuple[Tensor | tuple[Path, ...], Tensor]] = {}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the images, the labels, the split, the view and the sampling; the same on every machine."""
        data = data_fingerprint(
            self.source,
            self.manifest.indices,
            manifest_sha256=self.manifest.sha256,
            split={"validation_fraction": self.validation_fraction, "seed": self.corruption_seed},
            augment=self.augment,
        )
        # Teachers that were stored before there was a choice stay found.
        return data if self.sampling == "shuffled" else sha256(canonical_json([data, self.sampling]))

    def setup(self, stage: str | None = None) -> None:
        """Refuse a test without a test set before the first step; all else was done by the constructor."""
        if stage == "test":
            self._test_set()

    def train_dataloader(self) -> EpochLoader:
        """Augmented training samples, in an order or in draws that are a function of (seed, epoch)."""
        # A trainer that overfits some batches has to see the same ones in each epoch.
        shuffle = self.trainer is None or not self.trainer.overfit_batches  # type: ignore[attr-defined]
        self._train_loader = self._loader(
            "train",
            self.train_indices,
            batch_size=self.batch_size,
            shuffle=shuffle,
            augment=self.augment,
            is_class_balanced=self.sampling == "class_balanced",
        )
        if self._resume_from is not None:
            self._train_loader.load_state_dict(self._resume_from)
            self._resume_from = None
        return self._train_loader

    def state_dict(self) -> dict[str, Any]:
        """How far the epoch is; Lightning saves it with the checkpoint."""
        return {} if self._train_loader is None else {"train_loader": self._train_loader.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Have the next training loader continue within the saved epoch.

        Lightning itself loads a loader's state when it makes the loader, which is too early where a schedule asks for
        ``trainer.estimated_stepping_batches``: the checkpoint's loops are read later.
        """
        self._resume_from = state_dict.get("train_loader")

    def val_dataloader(self) -> EpochLoader | list[Any]:
        """The held-out share of the corrupted training set, with given labels; never the test set."""
        if len(self.val_indices) == 0:
            return []
        return self._loader("train", self.val_indices, batch_size=self.eval_batch_size)

    def test_dataloader(self) -> EpochLoader:
        """The test set, which nothing is done to; the index is the position in it."""
        indices = np.arange(len(self._test_set()))
        return self._loader("test", indices, batch_size=self.eval_batch_size)

    def predict_dataloader(self) -> EpochLoader:
        """The training samples as they are, in the order of their indices."""
        return self._loader("train", self.train_indices, batch_size=self.eval_batch_size)

    def _build_manifest(self, imbalance: Imbalance | None, noise: Noise | None) -> Manifest:
        if self.source.test_is_held_out and isinstance(noise, Noise) and noise.given_labels_file is not None:
            raise ArgumentValueError(
                "given_labels_file",
                rule="be left out where the test set is held out from the samples that it would have labels for",
                got=f"{os.fspath(noise.given_labels_file)!r} for {self.source.name!r}",
                way_out="Give a test set of your own, or put these labels into the data themselves.",
            )
        return build_manifest(
            self.source.train.labels,
            dataset=self.source.name,
            num_classes=self.source.num_classes,
            imbalance=Imbalance() if imbalance is None else imbalance,
            noise=Noise() if noise is None else noise,
            seed=self.corruption_seed,
            labels_are_true=self.source.labels_are_true,
        )

    def _test_set(self) -> ImageSet:
        if self.source.test is None:
            raise ArgumentValueError(
                "source",
                rule="have a test set to be tested on",
                got=f"{self.source.name!r}, which has none",
                way_out="Add one to the source, or leave the test out.",
            )
        return self.source.test

    def _loader(
        self,
        part: str,
        indices: np.ndarray,
        *,
        batch_size: int,
        shuffle: bool = False,
        augment: bool = False,
        is_class_balanced: bool = False,
    ) -> EpochLoader:
        root = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        uses_workers = self.residence == "workers"
        images, labels = self._by_index(part, torch.device("cpu") if uses_workers else root)
        return build_loader(
            images=images,
            labels=labels,
            indices=indices,
            source=self.source,
            augment=augment,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=self.seed,
            num_replicas=1 if self.trainer is None else self.trainer.world_size,
            rank=0 if self.trainer is None else self.trainer.global_rank,
            workers=self.num_workers if uses_workers else None,
            pin_memory=root.type == "cuda",
            is_class_balanced=is_class_balanced,
        )

    def _by_index(self, part: str, device: torch.device) -> tuple[Tensor | tuple[Path, ...], Tensor]:
        """Images and labels of a part by index, held once for all loaders on a device."""
        if self._tensors_on != device:
            self._tensors_on, self._tensors = device, {}
        if part not in self._tensors:
            if part == "train":
                images = self.source.train.take(self.manifest.indices)
                labels = torch.tensor(self.given_labels)
            else:
                images, labels = self._test_set().images, torch.tensor(self._test_set().labels)
            if isinstance(images, Tensor):
                images = images.to(device)
            self._tensors[part] = (images, labels.to(device))
        return self._tensors[part]


def _residence(residence: str, train: ImageSet) -> str:
    one_of("residence", residence, RESIDENCES)
    if isinstance(train.images, Tensor):
        fits = train.images.nbytes <= DEVICE_LIMIT_BYTES
        return residence if residence != "auto" else "device" if fits else "workers"
    if residence == "device":
        raise ArgumentValueError(
            "residence",
            rule="be 'workers' or 'auto' for image files, which are decoded when needed",
            got="'device'",
            way_out="Change it, or decode the files into an .npz file for the source `arrays`.",
        )
    return "workers"
