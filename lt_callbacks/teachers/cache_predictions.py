# Legend: N samples of the training set, B batch, C classes.
from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.model_helpers import is_overridden
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lt_callbacks._checks import as_path, integer
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._files import remove_leftovers
from lt_callbacks._lease import Lease
from lt_callbacks._writable import check_folder
from lt_callbacks.teachers.batch_fields import BatchField, BatchFields, describe_batch
from lt_callbacks.teachers.cached import CachedTeacher
from lt_callbacks.teachers.frozen import FrozenTeacher, as_teacher
from lt_callbacks.teachers.one_device import one_device
from lt_callbacks.teachers.prediction_file import predictions_key, read_predictions, write_predictions
from lt_callbacks.teachers.prediction_table import PredictionTable
from lt_callbacks.teachers.sample_index import gives_index
from lt_callbacks.teachers.training_data import check_datamodule

#: Dtypes that predictions can be kept in.
DTYPES = (torch.float32, torch.float16, torch.bfloat16)

#: A table from this size on is spoken of before it is filled.
LARGE_BYTES = 2**30


def cache(
    teacher: FrozenTeacher | nn.Module,
    datamodule: LightningDataModule,
    *,
    num_views: int = 0,
    dtype: torch.dtype = torch.float32,
    trainer: Mapping[str, Any] | None = None,
    store: str | os.PathLike[str] | None = None,
    fingerprint: str | None = None,
    images_from: BatchField | None = None,
    index_from: BatchField | None = None,
) -> CachedTeacher:
    """A teacher's predictions of all training samples, made once; in training they are looked up by sample index.

    A D-SINK step with cached teachers costs no teacher's forward pass. The teacher then says what it thinks of the
    sample and not of the step's augmented view.

    With ``num_views`` the prediction is the logarithm of the mean probability over so many augmented views. Of all
    single predictions this one has the least mean KL divergence from those of the views; and summed over a batch it is
    the class marginal that the views have on average. The mean of the logarithms has neither property: one view that
    rules a class out would rule it out for the sample.

    Args:
        teacher: A module whose ``forward(images)`` returns logits, or a :class:`FrozenTeacher`. Where it is a
            ``LightningModule``, its own batch hooks are called as in its training.
        datamodule: Its batches hold the index of the training batches. ``predict_dataloader`` gives every training
            sample as it is; for ``num_views``, ``train_dataloader`` gives them augmented.
            :class:`~lt_callbacks.data.LongTailedDataModule` does.
        num_views: V augmented views of each sample, those of the first V epochs of its loader; 0: the image as it is.
        dtype: Of the table, which takes N * C entries. ``torch.float16`` changes log p by at most |log p| / 2048, a
            probability of e^-10 by 0.5 %; ``torch.bfloat16`` by |log p| / 256, that probability by 4 %.
        trainer: Arguments of ``lightning.Trainer``, such as ``{"precision": "bf16-mixed"}``: those of the training, so
            that the teacher runs as it would there. One device is used.
        store: Folder where the table is kept and found again by the content of teacher and data, such as that of the
            trained teachers; None: kept nowhere.
        fingerprint: Identity of the data with its transforms. None: the datamodule's ``fingerprint``; where there is
            none, nothing is stored and a warning says so.
        images_from: Key or position of the images in a batch; None: the first item.
        index_from: Key or position of the samples' indices; None: the key ``"index"`` of a mapping, or what this
            package's own datasets give, such as `lt_callbacks.data.add_index`.

    Returns:
        A teacher on the CPU. Samples that did not come, such as held-out ones, have rows of NaN.

    Raises:
        TypeError, ValueError: An argument is wrong, batches do not hold what is needed, or a prediction is not finite.

    Cost: one forward pass of a sample, or V. Memory: the table, in float32 while views are averaged.

    Example:
        cached = cache(f_N, datamodule, trainer={"precision": "bf16-mixed"})
    """
    frozen = as_teacher("teacher", teacher)
    integer("num_views", num_views, at_least=0)
    root = None if store is None else as_path("store", store).expanduser()
    if dtype not in DTYPES:
        raise ArgumentValueError("dtype", rule=f"be one of {', '.join(map(str, DTYPES))}", got=repr(dtype))
    check_datamodule(datamodule)
    if num_views == 0 and not is_overridden("predict_dataloader", datamodule, LightningDataModule):
        raise ArgumentValueError(
            "datamodule",
            rule="give its training samples by `predict_dataloader`",
            got=f"{type(datamodule).__name__} without one",
            way_out="Define it, without augmentation and with the same indices, or set `num_views`.",
        )
    options = one_device(trainer or {})
    fields = BatchFields(images_from=images_from, index_from=index_from)
    hooks = _BatchHooks(datamodule, frozen)

    def predictions() -> Tensor:
        samples = _Samples(datamodule, num_views=num_views, fields=fields, hooks=hooks)
        return _predicted(frozen, samples, dtype=dtype, options=options)

    if root is None:
        return CachedTeacher(predictions(), allow_missing=True)
    facts = {
        "teacher": frozen.sha256(),
        "data": fingerprint or getattr(datamodule, "fingerprint", None),
        "num_views": num_views,
        # Which views are drawn.
        "seed": getattr(datamodule, "seed", None) if num_views else None,
        "dtype": str(dtype).removeprefix("torch."),
        "precision": str(options.get("precision") or "32-true"),
        # Not in the name of a table that they have no part in.
        **{name: place for name, place in vars(fields).items() if place is not None},
        **({"module_hooks": hooks.of_module} if hooks.of_module else {}),
    }
    nameless = next((name for name in ("teacher", "data") if facts[name] is None), None)
    if nameless is not None:
        way_out = "Pass `fingerprint=`" if nameless == "data" else "Give it a `sha256`"
        warnings.warn(f"The predictions are not stored: the {nameless} has no identity. {way_out}.", stacklevel=2)
        return CachedTeacher(predictions(), allow_missing=True)
    return CachedTeacher(_stored(root, facts, predictions), allow_missing=True)


def _stored(root: Path, facts: Mapping[str, Any], predictions: Any) -> Tensor:
    """The table from its file; made and written first by one of the processes that want it."""
    key = predictions_key(facts)
    file = root / "predictions" / f"{key}.safetensors"
    if not file.is_file():
        check_folder("store", root, folders=("jobs", "predictions"))
    with Lease(root / "jobs" / "leases" / f"predictions-{key}").acquire(unless=file.is_file) as is_held:
        if is_held:
            remove_leftovers(file.parent, name=file.name)
            write_predictions(file, predictions(), facts)
    # Also where it was made here: all processes hold the same bits.
    return read_predictions(file, facts)


def _predicted(teacher: FrozenTeacher, samples: _Samples, *, dtype: torch.dtype, options: Mapping[str, Any]) -> Tensor:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    datamodule = samples.inner
    filling = _Filling(teacher, samples, dtype=dtype)
    # Tensors of inference mode could not be used in a training step.
    runner = Trainer(**{**quiet, **options, "inference_mode": False})
    before = datamodule.trainer
    try:
        with isolate_rng():
            runner.predict(filling, datamodule=samples, return_predictions=False)
    finally:
        datamodule.trainer = before
        teacher.release()
    if filling.table is None:
        raise ArgumentValueError(
            "datamodule", rule="give batches to predict", got="none", way_out="Is its training set empty?"
        )
    return filling.table.finish().cpu()


class _Samples(LightningDataModule):
    """Another datamodule's training samples, for a trainer's ``predict``; its hooks move and change the batches."""

    def __init__(self, inner: LightningDataModule, *, num_views: int, fields: BatchFields, hooks: _BatchHooks) -> None:
        super().__init__()
        self.inner, self.num_views, self.fields, self.hooks = inner, num_views, fields, hooks
        self.num_samples: int | None = getattr(inner, "num_samples", None)

    def prepare_data(self) -> None:
        self.inner.prepare_data()

    def setup(self, stage: str) -> None:
        self.inner.trainer = self.trainer
        self.inner.setup("fit" if self.num_views else stage)

    def predict_dataloader(self) -> Any:
        # Here: it loads torchvision, which a training with D-SINK may do without.
        from lt_callbacks.data import EpochLoader

        loader: Any = self.inner.train_dataloader() if self.num_views else self.inner.predict_dataloader()
        if isinstance(loader, DataLoader) and loader.drop_last:
            raise ArgumentValueError(
                "datamodule",
                rule="give every training sample",
                got="a loader that leaves out an incomplete last batch",
                way_out="Set `drop_last=False`, or define `predict_dataloader`.",
            )
        if self.fields.index_from is None and gives_index(loader):
            self.fields = replace(self.fields, index_from=2)
        if isinstance(loader, EpochLoader):
            # Draws with replacement would leave samples out.
            loader.sampler.class_balance = None
        if self.num_samples is None:
            dataset = getattr(loader, "dataset", None)
            if not isinstance(dataset, Sized):
                raise ArgumentValueError(
                    "datamodule",
                    rule="say how many samples it has",
                    got="a loader without a dataset that has a length",
                    way_out="Give the datamodule `num_samples`, one more than the largest index.",
                )
            self.num_samples = len(dataset)
        return _Views(loader, max(self.num_views, 1))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return self.hooks.owner("on_before_batch_transfer").on_before_batch_transfer(batch, dataloader_idx)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        owner = self.hooks.owner("transfer_batch_to_device")
        return owner.transfer_batch_to_device(batch, device, dataloader_idx)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return self.hooks.owner("on_after_batch_transfer").on_after_batch_transfer(batch, dataloader_idx)


class _BatchHooks:
    """Whose hooks move and change a batch, by Lightning's own rule: the datamodule's before the module's."""

    def __init__(self, datamodule: LightningDataModule, teacher: FrozenTeacher) -> None:
        self.datamodule = datamodule
        module = getattr(teacher, "module", None)
        names = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
        self.of_module = [
            name
            for name in names
            if isinstance(module, LightningModule)
            and is_overridden(name, module)
            and not is_overridden(name, datamodule)
        ]
        self.module: Any = module

    def owner(self, name: str) -> Any:
        """The module or datamodule whose hook ``name`` counts."""
        return self.module if name in self.of_module else self.datamodule


class _Views:
    """A loader's epochs one after the other, each with its own augmentation."""

    def __init__(self, loader: Any, num_views: int) -> None:
        self.loader, self.num_views = loader, num_views

    def __len__(self) -> int:
        return len(self.loader) * self.num_views

    def __iter__(self) -> Iterator[Any]:
        sampler: Any = getattr(self.loader, "sampler", None)
        for view in range(self.num_views):
            if hasattr(sampler, "set_epoch"):
                sampler.set_epoch(view)
            yield from self.loader


class _Filling(LightningModule):
    """Enters a teacher's predictions into a table."""

    def __init__(self, teacher: FrozenTeacher, samples: _Samples, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.teacher, self.samples, self.kept = teacher, samples, dtype
        self.table: PredictionTable | None = None

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        fields = self.samples.fields
        if not fields.names_index(batch):
            raise ArgumentValueError(
                "index_from",
                rule="name the samples' index in the batches, since cached predictions are looked up by it",
                got=f"None and {describe_batch(batch)} that no dataset of this package gives",
                way_out="Name its key or position, or wrap the dataset in `lt_callbacks.data.add_index`.",
            )
        images, index = fields.images(batch), fields.index(batch)
        log_probs = self.teacher.log_probs(images, index, dtype=images.dtype if images.is_floating_point() else None)
        if self.table is None:
            num_samples = int(self.samples.num_samples or 0)
            self.table = PredictionTable(num_samples, averages=self.samples.num_views > 0, dtype=self.kept)
            _speak_of(self.table, log_probs)
        self.table.add(log_probs, index.long())
        # Kept nowhere; Lightning takes None for a step that was forgotten.
        return index


def _speak_of(table: PredictionTable, log_probs: Tensor) -> None:
    num_bytes = table.num_bytes(log_probs.shape[1])
    if num_bytes >= LARGE_BYTES:
        smaller = ", half of it with dtype=torch.float16" if table.dtype == torch.float32 else ""
        rank_zero_info(
            f"Cached predictions of {table.num_samples} samples and {log_probs.shape[1]} classes take "
            f"{num_bytes / 2**30:.1f} GiB on {log_probs.device}{smaller}"
        )
