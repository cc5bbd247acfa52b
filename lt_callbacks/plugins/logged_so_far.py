from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric


class LoggedSoFar:
    """What was logged in the steps of an epoch that a checkpoint was saved in, for the mean over the whole epoch.

    Lightning forgets it: after a resume within an epoch, the mean that it logs is that of the steps since then. Values
    join those of the first step that logs them again, so that sums are made in the order of a training that nobody
    stopped, to the bit.

    Args:
        saved: What `state` gave; None: nothing was logged.
    """

    def __init__(self, saved: Mapping[str, Any] | None = None) -> None:
        saved = saved or {}
        self._epoch: int | None = saved.get("epoch")
        self._values: dict[str, dict[str, Tensor]] = dict(saved.get("values", {}))
        self._metrics: dict[str, dict[str, Any]] = dict(saved.get("metrics", {}))

    def restore_metrics(self, trainer: Trainer, module: LightningModule) -> None:
        """Give metrics that the module logs as objects, and that it has as attributes, the state that they had."""
        if not self._metrics or trainer.current_epoch != self._epoch:
            return
        modules = dict(module.named_modules())
        for name, saved in self._metrics.items():
            metric: Any = modules.get(name)
            if isinstance(metric, Metric):
                for part, value in saved["state"].items():
                    setattr(metric, part, _moved(value, metric.device))
                metric._update_count, metric._computed = saved["updates"], None
        self._metrics = {}

    def go_on(self, trainer: Trainer) -> None:
        """Join what was saved with what has been logged since, where that is; at most one step of it."""
        if not self._values:
            return
        if trainer.current_epoch != self._epoch:
            self._values = {}
            return
        results: Any = trainer.fit_loop.epoch_loop._results
        for key in [key for key in self._values if key in results and not results[key].has_reset]:
            _join(results[key], self._values.pop(key))

    def state(self, trainer: Trainer | None) -> dict[str, Any]:
        """What to save, as tensors on the CPU and plain values.

        Args:
            trainer: In the middle of an epoch; None: it is not.
        """
        if trainer is None:
            return {"epoch": self._epoch, "values": self._values, "metrics": self._metrics}
        # Of what was logged since the last hook.
        self.go_on(trainer)
        values, metrics = dict(self._values), dict(self._metrics)
        results: Any = trainer.fit_loop.epoch_loop._results
        for key, entry in results.items():
            if entry.has_reset or not entry.meta.on_epoch:
                continue
            if entry.is_tensor:
                values[key] = _moved(entry.metric_state, "cpu")
            elif entry.meta.metric_attribute is not None:
                state = _moved(entry.value.metric_state, "cpu")
                metrics[entry.meta.metric_attribute] = {"state": state, "updates": entry.value._update_count}
        return {"epoch": trainer.current_epoch, "values": values, "metrics": metrics}


def _join(entry: Any, saved: Mapping[str, Tensor]) -> None:
    """Add the values of the steps before to those of one step; or keep the largest or smallest."""
    is_extreme = entry.meta.is_max_reduction or entry.meta.is_min_reduction
    for name, before in saved.items():
        now = getattr(entry, name)
        before = before.to(now.device)
        setattr(entry, name, entry.meta.reduce_fx(before, now) if is_extreme else before + now)
    entry._computed = None


def _moved(value: Any, device: Any) -> Any:
    """Copies, also of tensors in lists and mappings."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, Mapping):
        return {name: _moved(inner, device) for name, inner in value.items()}
    return [_moved(inner, device) for inner in value]
