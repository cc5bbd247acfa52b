from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lt_callbacks._checks import one_of, real
from lt_callbacks._errors import StateError
from lt_callbacks._tensors import check_range
from lt_callbacks.metrics.proxy_label_statistics import ProxyLabelStatistics
from lt_callbacks.plugins.dsink.capture import Capture
from lt_callbacks.plugins.rank_states import of_all_ranks, rank_and_size
from lt_callbacks.teachers.batch_fields import BatchField


class ProxyLabelMonitor(Callback):
    """Logs once an epoch what the proxy labels are like, and raises the alarm when they are of no use.

    Logs, as means over the epoch: ``dsink/marginal_error`` (total variation), ``dsink/sweeps``, ``dsink/entropy``
    (share of log C), ``dsink/largest_class`` (share of the mass), ``dsink/agreement`` (with the given labels), and
    where the truth is known ``dsink/accuracy`` and ``dsink/given_accuracy``.

    Args:
        true_labels: (num_samples,) integers by sample index; None: the datamodule's ``true_labels``, if it has them.
            They are compared with, never trained on, and looked up by an index that is certain: that of this package's
            own datasets, or the one that ``DSink(index_from=...)`` names.
        label_from: Key or position of the given label in the batch; None: the second item, or the key ``"label"``.
        uniform_above: Alarm when the mean entropy exceeds this share of log C.
        collapsed_above: Alarm when one class has more than this share of the mass.
        on_degenerate: ``"warn"`` (once) or ``"raise"``.

    Example:
        >>> import torch
        >>> from lightning.pytorch import LightningModule, Trainer
        >>> from torch.nn import Linear
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from lt_callbacks import DSink, DSinkCallback, ProxyLabelMonitor
        >>> class MyNet(LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = Linear(2, 3)
        ...     def forward(self, images):
        ...         return self.layer(images)
        ...     def training_step(self, batch, batch_idx):
        ...         return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=0.1)
        >>> dsink = DSink(noise_teacher=Linear(2, 3), imbalance_teacher=Linear(2, 3))
        >>> trainer = Trainer(
        ...     callbacks=[DSinkCallback(dsink), ProxyLabelMonitor(uniform_above=1.0)],
        ...     accelerator="cpu",
        ...     fast_dev_run=True,
        ...     enable_progress_bar=False,
        ...     enable_model_summary=False,
        ... )
        >>> data = DataLoader(TensorDataset(torch.randn(8, 2), torch.randint(3, (8,))), batch_size=4)
        >>> trainer.fit(MyNet(), data)
        >>> bool(trainer.callback_metrics["dsink/marginal_error"] < 1e-3)
        True
    """

    def __init__(
        self,
        *,
        true_labels: Any = None,
        label_from: BatchField | None = None,
        uniform_above: float = 0.98,
        collapsed_above: float = 0.95,
        on_degenerate: str = "warn",
    ) -> None:
        self.true_labels = true_labels
        self.label_from = label_from
        self.uniform_above = real("uniform_above", uniform_above, above=0.0, at_most=1.0)
        self.collapsed_above = real("collapsed_above", collapsed_above, above=0.0, at_most=1.0)
        self.on_degenerate = one_of("on_degenerate", on_degenerate, ("warn", "raise"))
        self._statistics: ProxyLabelStatistics | None = None
        # Of the steps before a resume within an epoch.
        self._saved: list[dict[str, Tensor]] = []
        self._truth: Tensor | None = None
        self._has_warned = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Forgets a fit before, which may have failed; a checkpoint is loaded later."""
        self._statistics, self._saved = None, []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the true labels from the datamodule where it has them."""
        truth = self.true_labels
        if truth is None:
            truth = getattr(getattr(trainer, "datamodule", None), "true_labels", None)
        # A copy: label arrays of a manifest are read-only.
        self._truth = None if truth is None else torch.tensor(np.asarray(truth)).to(pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Adds the step's proxy labels to the sums, without a host synchronisation."""
        capture: Capture | None = getattr(pl_module, "_dsink_capture", None)
        if capture is None:
            raise StateError(
                "ProxyLabelMonitor needs D-SINK on the module; found none. Add DSinkCallback to the trainer, or "
                "`attach_dsink` to a DSinkMixin."
            )
        step = capture.dsink.last_step
        if step is None:
            return
        proxy = step.proxy
        if self._statistics is None:
            self._statistics = self._new_statistics(proxy.labels)
        truth = None
        if self.true_labels is not None and step.index is None:
            raise StateError(
                "`true_labels` must be looked up by the samples' index; the batch has none that is certain. Name it by "
                "DSink(index_from=...), or wrap the training dataset in `lt_callbacks.data.add_index`."
            )
        if self._truth is not None and step.index is not None:
            size = len(self._truth)
            way_out = f"There are {size} `true_labels`: pass one for each sample of the training set."
            check_range("index", step.index, below=size, way_out=way_out)
            # As above on a GPU, where a negative number would count from the end.
            truth = self._truth.to(proxy.labels.device)[torch.where(step.index < 0, size, step.index)]
        self._statistics.update(proxy.labels, self._given_label(batch), proxy.marginal_error, proxy.iterations, truth)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the epoch's means, and looks for degenerate proxy labels."""
        if self._statistics is None:
            return
        values = self._statistics.compute()
        self._statistics.reset()
        # They are over all ranks already; without being told to, Lightning warns that they might not be.
        pl_module.log_dict({f"dsink/{name}": value for name, value in values.items()}, sync_dist=True)
        self._check(float(values["entropy"]), float(values["largest_class"]), trainer.current_epoch)

    def state_dict(self) -> dict[str, Any]:
        """The epoch's sums so far, of all ranks; every rank must call this, as each does when a trainer saves."""
        if self._statistics is None:
            return {}
        held: Any = self._statistics.metric_state
        state = {name: value.detach().cpu().clone() for name, value in held.items()}
        return {"ranks": of_all_ranks(state)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the sums of the epoch that the checkpoint was saved in, on any number of ranks."""
        rank, num_ranks = rank_and_size()
        self._saved = list(state_dict.get("ranks", ()))[rank::num_ranks]

    def _new_statistics(self, proxy_labels: Tensor) -> ProxyLabelStatistics:
        made = ProxyLabelStatistics(num_classes=proxy_labels.shape[1]).to(proxy_labels.device)
        for saved in self._saved:
            for name, value in saved.items():
                setattr(made, name, getattr(made, name) + value.to(proxy_labels.device))
        self._saved = []
        return made

    def _given_label(self, batch: Any) -> Tensor:
        place = self.label_from
        if place is None:
            place = "label" if isinstance(batch, Mapping) else 1
        try:
            label = batch[place]
        except (KeyError, IndexError, TypeError):
            label = None
        if not isinstance(label, Tensor):
            raise StateError(
                f"`label_from` must name the given labels in the batch; {place!r} gives {type(label).__name__}."
            )
        return label

    def _check(self, entropy: float, largest_class: float, epoch: int) -> None:
        if entropy > self.uniform_above:
            what = f"near-uniform: mean entropy {entropy:.3f} of log C, alarm above {self.uniform_above}"
        elif largest_class > self.collapsed_above:
            what = f"one class: it has {largest_class:.3f} of the mass, alarm above {self.collapsed_above}"
        else:
            return
        message = f"The proxy labels of epoch {epoch} are {what}. Look at both teachers' accuracy before trusting them."
        if self.on_degenerate == "raise":
            raise StateError(message)
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(message, stacklevel=2)
