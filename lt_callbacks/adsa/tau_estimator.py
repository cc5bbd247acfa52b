# Legend: V views, B batch, C classes, G nodes.
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from lt_callbacks._ranks import all_ranks
from lt_callbacks.adsa.batch import checked_batch
from lt_callbacks.adsa.fit_settings import FitSettings
from lt_callbacks.adsa.moments import NUM_CURVES, class_moments, to_widest
from lt_callbacks.adsa.problem import TauProblem
from lt_callbacks.adsa.seen_indices import SeenIndices
from lt_callbacks.adsa.tau_fit import TauFit


class TauEstimator(Metric):
    """:func:`lt_callbacks.adsa.fit_tau` over a stream of batches and over all ranks.

    Memory does not grow with the number of images: each class keeps five sums at G values of tau, 24 to 82 for
    imbalance factors 1 to 1000 on the default grid, as float64 whatever the precision of the logits or of a module
    that holds the metric. Batches, their order and the share of each rank, which may be none, do not matter. ``update``
    waits for no device: values that must not be are counted there and refused by ``compute``, on all ranks alike.

    Args:
        class_prior: (C,) counts or frequencies of the training labels, finite and > 0.
        shrink_to: See :func:`fit_tau`, as for the others.
        shrink_sd: Standard deviation of tau around ``shrink_to``.
        lowest: Smallest tau that is considered.
        highest: Largest.

    ``update(logits, intended_class, weight=None, index=None)`` takes (B, C) or (V, B, C) logits, (B,) class numbers and
    (B,) weights. ``compute()`` returns a :class:`TauFit`. Calling the metric adds the batch and returns None: a batch
    alone rarely holds every class.

    With ``index``, (B,) integers that say which image it is, an image counts once over all updates and ranks, so that a
    sampler which repeats images to give all ranks as many, as ``DistributedSampler`` does, changes nothing. Of several
    copies the first one counts, in the order of updates and then of ranks. Every rank must then call ``update`` equally
    often, with no image where it has none left. It costs an exchange of indices an update, and memory then grows by 8
    bytes an image on every rank. Without ``index`` all images count.

    Raises:
        TypeError, ValueError: As :func:`fit_tau`.

    Example:
        >>> estimator = TauEstimator([90, 10])
        >>> estimator.update(torch.tensor([[4.2, 0.0]]), torch.tensor([0]))
        >>> estimator.update(torch.tensor([[2.2, 2.0]]), torch.tensor([1]))
        >>> round(estimator.compute().tau, 2)
        1.0
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False
    curves: Tensor
    totals: Tensor
    refused: Tensor

    def __init__(
        self,
        class_prior: Any,
        *,
        shrink_to: float | None = None,
        shrink_sd: float = 0.5,
        lowest: float = -1.0,
        highest: float = 4.0,
    ) -> None:
        super().__init__()
        settings = FitSettings(shrink_to=shrink_to, shrink_sd=shrink_sd, lowest=lowest, highest=highest)
        self._problem = TauProblem(class_prior, settings)
        self._seen = SeenIndices()
        num_classes, num_nodes = self._problem.num_classes, len(self._problem.nodes.taus)
        shapes = {"curves": (num_classes, NUM_CURVES, num_nodes), "totals": (num_classes, 3), "refused": (3,)}
        for name, shape in shapes.items():
            self.add_state(name, torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Any, intended_class: Any, weight: Any = None, index: Any = None) -> None:
        """Add a batch; for the arguments see :func:`fit_tau` and, for ``index``, the class.

        Raises:
            TypeError, ValueError: Kinds or shapes are wrong, or the logits are not on the metric's device.
        """
        views, intended, weights = checked_batch(logits, intended_class, weight, num_classes=self._problem.num_classes)
        if views.device != self.curves.device:
            raise ValueError(
                f"`logits` must be on the metric's device, {self.curves.device}; got {views.device}. "
                "Move the metric with `.to(logits.device)`."
            )
        if index is not None:
            group = self.process_group if self.process_group is not None else all_ranks()
            is_new = self._seen.first_seen(_checked_index(index, views), group)
            # All that is wrong with a copy was wrong with the first one, and is counted there.
            weights = torch.where(is_new, 1.0 if weights is None else weights, 0.0)
            intended = torch.where(is_new, intended, 0)
            views = torch.where(is_new[:, None], views, 0.0)
        # Autocast would take the products down to half precision on a device without float64.
        with torch.autocast(views.device.type, enabled=False):
            curves, totals, refused = class_moments(views, intended, weights, tilts=self._problem.tilts(views.device))
        # Not in place: a state made in inference mode could not be added to outside of it.
        self.curves = self.curves + curves
        self.totals = self.totals + totals
        self.refused = self.refused + refused

    def compute(self) -> TauFit:
        """The fit to all images since the last reset, on all ranks.

        Raises:
            ValueError: An image had a logit that is not finite, an intended class out of range or a weight that is not
                finite and >= 0; or a class has no image.
        """
        return self._problem.solve(self.curves, self.totals, self.refused)

    def forward(self, logits: Any, intended_class: Any, weight: Any = None, index: Any = None) -> None:
        """Add a batch."""
        self.update(logits, intended_class, weight, index)

    def reset(self) -> None:
        """Forget all images."""
        super().reset()
        self._seen = SeenIndices()

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = "") -> TauEstimator:
        # A module that is cast to half precision takes its metrics along: the sums follow to its device only.
        def moved(state: Tensor) -> Tensor:
            device = fn(torch.zeros(1, device=state.device)).device
            return to_widest(state, device)

        super()._apply(moved, exclude_state)
        return self

    def _wrap_compute(self, compute: Callable[[], TauFit]) -> Callable[[], TauFit]:
        # torchmetrics looks for tensors in what `compute` returns and refuses a frozen dataclass; it leaves others be.
        wrapped = super()._wrap_compute(lambda: _Sealed(compute()))

        @functools.wraps(compute)
        def unsealed() -> TauFit:
            return wrapped().fit

        return unsealed


def _checked_index(index: Any, views: Tensor) -> Tensor:
    if not isinstance(index, Tensor) or index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        kind = index.dtype if isinstance(index, Tensor) else type(index).__name__
        raise TypeError(f"`index` must be a tensor of integers; got {kind}. Pass the third item of the batch.")
    if index.shape != views.shape[1:2]:
        raise ValueError(
            f"`index` must have shape ({views.shape[1]},), one entry an image; got {tuple(index.shape)}. "
            "Pass the third item of the batch as it is."
        )
    return index.detach().to(views.device).long()


class _Sealed:
    def __init__(self, fit: TauFit) -> None:
        self.fit = fit
