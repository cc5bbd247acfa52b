# Legend: B batch, C classes.
from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._tensors import check_integers


class ProxyLabelStatistics(Metric):
    """What the proxy labels of an epoch look like, accumulated on the device and over all ranks.

    Args:
        num_classes: C.

    ``compute()`` returns 0-d tensors: ``entropy`` (mean over samples, as a share of log C: 1 is uniform),
    ``largest_class`` (share of the mass in the class that has most), ``agreement`` (share of samples whose proxy label
    peaks at the given label, of those that have one), ``marginal_error`` and ``sweeps`` (means over steps), and where
    true labels were given ``accuracy`` of the proxy labels and ``given_accuracy`` of the given ones. Rows of zeros
    (masked samples) do not count.
    """

    full_state_update = False
    class_mass: Tensor
    entropy_sum: Tensor
    agreed: Tensor
    right: Tensor
    given_right: Tensor
    num_samples: Tensor
    num_given: Tensor
    num_known: Tensor
    error_sum: Tensor
    sweep_sum: Tensor
    num_steps: Tensor

    def __init__(self, *, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.add_state("class_mass", torch.zeros(num_classes), dist_reduce_fx="sum")
        for name in ("entropy_sum", "agreed", "right", "given_right", "num_samples", "num_given", "num_known"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")
        for name in ("error_sum", "sweep_sum", "num_steps"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")

    def update(
        self,
        labels: Tensor,
        given_label: Tensor,
        marginal_error: Tensor,
        sweeps: Tensor,
        true_label: Tensor | None = None,
    ) -> None:
        """Add the proxy labels of one step.

        Args:
            labels: (B, C) proxy labels.
            given_label: (B,) integers; a negative one stands for none.
            marginal_error: 0-d.
            sweeps: 0-d.
            true_label: (B,) int64, where known.

        Raises:
            TypeError: Given labels are no integers.
            ValueError: They are not one a sample.
        """
        _check_given_label(given_label, labels)
        is_used = labels.sum(dim=1) > 0
        peak = labels.argmax(dim=1)
        self.class_mass += labels.sum(dim=0)
        self.entropy_sum -= torch.xlogy(labels, labels).sum()
        self.agreed += ((peak == given_label) & is_used).sum()
        self.num_given += ((given_label >= 0) & is_used).sum()
        self.num_samples += is_used.sum()
        if true_label is not None:
            self.right += ((peak == true_label) & is_used).sum()
            self.given_right += ((given_label == true_label) & is_used).sum()
            self.num_known += is_used.sum()
        self.error_sum += marginal_error
        self.sweep_sum += sweeps
        self.num_steps += 1

    def compute(self) -> dict[str, Tensor]:
        """The statistics of all steps since the last reset, as 0-d tensors."""
        statistics = {
            "entropy": self.entropy_sum / self.num_samples / torch.log(torch.tensor(float(self.num_classes))),
            "largest_class": self.class_mass.max() / self.class_mass.sum(),
            "marginal_error": self.error_sum / self.num_steps,
            "sweeps": self.sweep_sum / self.num_steps,
        }
        if self.num_given > 0:
            statistics["agreement"] = self.agreed / self.num_given
        if self.num_known > 0:
            statistics["accuracy"] = self.right / self.num_known
            statistics["given_accuracy"] = self.given_right / self.num_known
        return statistics


def _check_given_label(given_label: Tensor, labels: Tensor) -> None:
    check_integers("given_label", given_label, way_out="Pass class numbers: see the monitor's `label_from`.")
    if given_label.shape != labels.shape[:1]:
        # A column of them would be compared with every sample.
        raise ArgumentValueError(
            "given_label",
            rule=f"have shape ({len(labels)},), one for each row of `labels`",
            got=str(tuple(given_label.shape)),
            way_out="Pass class numbers, not one-hot rows.",
        )
