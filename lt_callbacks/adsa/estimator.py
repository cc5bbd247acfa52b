# Legend: V views, B batch, C classes, G nodes, M indices of all ranks in one call, R runs.
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks._ranks import all_ranks, gather_rows
from lt_callbacks.adsa.class_moments import NUM_CURVES, class_moments, to_widest
from lt_callbacks.adsa.inputs import check_values, checked_batch
from lt_callbacks.adsa.tau_problem import FitSettings, TauFit, TauProblem


def fit_tau(
    logits: Any,
    intended_class: Any,
    class_prior: Any,
    *,
    weight: Any = None,
    shrink_to: float | None = None,
    shrink_sd: float = 0.5,
    lowest: float = -1.0,
    highest: float = 4.0,
) -> TauFit:
    """The strength of the logit adjustment under which classes are most evenly confident, from distilled images alone.

    With a = log pi - mean log pi, p_i(tau) = softmax(z_i - tau * a)[intended class of i], and m_c(tau) the mean of p_i
    over the images of class c, tau minimises the population standard deviation of m_c over classes. Feed it un-mixed
    images: of a mixture there is no intended class. For more images than fit in memory, or several ranks, see
    :class:`lt_callbacks.adsa.TauEstimator`, which this equals. Ranks do not talk here.

    Args:
        logits: (B, C) float, or (V, B, C) for V views of an image, whose probabilities are averaged first. Finite.
        intended_class: (B,) integer, the class that each image stands for.
        class_prior: (C,) counts or frequencies of the training labels, finite and > 0.
        weight: (B,) 0 or in [1e-15, 1e15], weights of the images within their class; None for ones. One of 2 moves
            tau as the image given twice; an image of weight 0 does not count.
        shrink_to: A strength to fall back to, inside the grid: tau becomes the mean of the estimate and this,
            weighted by precision, and this itself where the images do not determine tau. None: no shrinkage. A uniform
            prior needs no adjustment, and tau stays 0.
        shrink_sd: How far from ``shrink_to`` tau is thought to lie: standard deviation of a normal prior, > 0. The
            estimate's own is half its interval / 1.96.
        lowest: Smallest tau that is considered, in [-100, 100].
        highest: Largest tau that is considered, likewise.

    Returns:
        The strength, its interval and the curve; see :class:`TauFit`. tau is within 1e-5 of an exhaustive search.

    Raises:
        TypeError: An argument of the wrong kind.
        ValueError: Shapes disagree; logits that are not finite; an intended class out of range; a class without images;
            a prior that is not finite and > 0, or so uneven that tau cannot be found on the grid (a factor of about
            e^44 on the default one); ``lowest`` not below ``highest``.

    Cost: B * V * C exponentials, and G multiplications a logit, with G = 24 to 82 for imbalance factors 1 to 1000.
    Gradient: none.
    Reference: ADSA (arXiv 2511.17914), section 4.

    Example:
        >>> round(fit_tau([[4.2, 0.0], [2.2, 2.0]], [0, 1], [90, 10]).tau, 2)
        1.0
    """
    settings = FitSettings(shrink_to=shrink_to, shrink_sd=shrink_sd, lowest=lowest, highest=highest)
    problem = TauProblem(class_prior, settings)
    views, intended, weights = checked_batch(logits, intended_class, weight, num_classes=problem.num_classes)
    check_values(views, intended, weights)
    return problem.fit(*class_moments(views, intended, weights, tilts=problem.tilts(views.device)))


class SeenIndices:
    """Which images were seen before, in any batch of any rank; nothing is read on the host.

    It keeps sorted runs of indices, each more than twice as long as the next, and merges them as they grow: a call
    searches log2 of the number of indices seen, at most, and each index is sorted that often in all.
    """

    def __init__(self) -> None:
        self._runs: list[Tensor] = []

    def first_seen(self, index: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        """Whether each image is seen for the first time; the next call knows all of them.

        Args:
            index: (B,) int64, any values; this rank's, B may differ over ranks and be 0.
            group: The ranks that share the images; all of them must call. None: this one alone.

        Returns:
            (B,) bool. Of an image that stands several times in one call, the first is meant, in the order of ranks.

        Cost: one exchange of lengths and one all-gather of indices; memory of 8 bytes an index seen, on every rank.
        """
        shares = [index] if group is None else gather_rows(index, group)
        own = 0 if group is None else dist.get_rank(group)
        everything = torch.cat(shares)
        ascending, order = everything.sort(stable=True)
        places = torch.arange(len(everything), device=index.device)
        is_first = order[torch.searchsorted(ascending, everything)] == places
        for run in self._runs:
            run = run.to(index.device)
            place = torch.searchsorted(run, everything).clamp_max(len(run) - 1)
            is_first &= run[place] != everything
        self._add(ascending)
        start = sum(len(share) for share in shares[:own])
        return is_first[start : start + len(index)]

    def _add(self, ascending: Tensor) -> None:
        if len(ascending):
            self._runs.append(ascending)
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) >= len(self._runs[-2]):
            last, previous = self._runs.pop(), self._runs.pop()
            self._runs.append(torch.cat([previous.to(last.device), last]).sort().values)


class TauEstimator(Metric):
    """Finds the tau of :func:`fit_tau` over a stream of batches and over all ranks.

    Memory does not grow with the number of images: each class keeps five sums at G values of tau, 24 to 82 for
    imbalance factors 1 to 1000 on the default grid, as float64 whatever the precision of the logits or of a module
    that holds the metric. Batches, their order and the share of each rank, which may be none, do not matter. ``update``
    waits for no device: values that must not be are counted there and refused by ``compute``, on all ranks alike.

    Args:
        class_prior: (C,) counts or frequencies of the training labels, finite and > 0.
        shrink_to: A strength to fall back to, inside the grid; see :func:`fit_tau`. None: no shrinkage.
        shrink_sd: Standard deviation of tau around ``shrink_to``, > 0.
        lowest: Smallest tau that is considered.
        highest: Largest tau that is considered.

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
        """Add a batch of images; for the arguments see :func:`fit_tau` and, for ``index``, the class.

        Raises:
            TypeError, ValueError: Kinds or shapes are wrong, or the logits are not on the metric's device.
        """
        views, intended, weights = checked_batch(logits, intended_class, weight, num_classes=self._problem.num_classes)
        if views.device != self.curves.device:
            raise ArgumentValueError(
                "logits",
                rule=f"be on the metric's device, {self.curves.device}",
                got=str(views.device),
                way_out="Move the metric with `.to(logits.device)`.",
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
            ValueError: An image had a logit that is not finite, or an intended class or a weight out of range; or a
                class has no image.
        """
        return self._problem.fit(self.curves, self.totals, self.refused)

    def forward(self, logits: Any, intended_class: Any, weight: Any = None, index: Any = None) -> None:
        """Add a batch of images, as :meth:`update` does."""
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
        raise ArgumentTypeError(
            "index", rule="be a tensor of integers", got=str(kind), way_out="Pass the third item of the batch."
        )
    if index.shape != views.shape[1:2]:
        raise ArgumentValueError(
            "index",
            rule=f"have shape ({views.shape[1]},), one entry an image",
            got=str(tuple(index.shape)),
            way_out="Pass the third item of the batch as it is.",
        )
    return index.detach().to(views.device).long()


class _Sealed:
    """Hides a fit from torchmetrics; see :meth:`TauEstimator._wrap_compute`."""

    def __init__(self, fit: TauFit) -> None:
        self.fit = fit
