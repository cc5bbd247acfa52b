from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.data import EpochOrder
from lt_callbacks.dataset_distillation.student import StudentBatch
from lt_callbacks.distilled_set import LiveLabels, SoftLabels, Views


class ViewLoader:
    """A student's batches: passes over the distilled set, each with another view of every image.

    Order, views and labels depend on (seed, pass, sample) alone. Pass p shows view p, from the beginning again where
    fewer views are labelled. Several passes make one epoch, since the set is small and an epoch of a trainer is not.

    Args:
        views: The images.
        classes: (N,) int64 intended classes.
        labels: Of these very views, stored or made on the fly; None: no soft labels.
        adjust: (B, C) logits to those that are learned from, such as a calibration; None: as they are.
        batch_size: Samples a step.
        num_passes: Of the whole training.
        passes_per_epoch: At most this many; the largest number up to it that divides ``num_passes``.
        seed: Of the order.

    Raises:
        TypeError: An argument has another type.
        ValueError: A number is out of range, labels are of another set or other views, or a view is not labelled yet.
    """

    def __init__(
        self,
        *,
        views: Views,
        classes: Tensor,
        labels: SoftLabels | LiveLabels | None,
        adjust: Callable[[Tensor], Tensor] | None = None,
        batch_size: int,
        num_passes: int,
        passes_per_epoch: int = 10,
        seed: int = 0,
    ) -> None:
        integer("num_passes", num_passes, at_least=1)
        integer("passes_per_epoch", passes_per_epoch, at_least=1)
        if classes.shape != (len(views),):
            raise ArgumentValueError(
                "classes", rule=f"be one a sample, ({len(views)},)", got=f"shape {tuple(classes.shape)}"
            )
        if adjust is not None and not callable(adjust):
            raise ArgumentTypeError("adjust", rule="be a function of logits, or None", got=repr(adjust))
        if adjust is not None and labels is None:
            raise ArgumentValueError(
                "adjust",
                rule="be None without `labels`, whose logits it changes",
                got=repr(adjust),
                way_out="Leave it out.",
            )
        if labels is not None:
            _check_labels(labels, views, num_passes)
        self.views, self.labels, self.adjust = views, labels, adjust
        self.device = views.device
        self.classes = classes.to(self.device)
        # Epochs of equal length: Lightning counts the steps of the training by the first one.
        self.passes_per_epoch = max(n for n in range(1, min(passes_per_epoch, num_passes) + 1) if num_passes % n == 0)
        self.num_passes = num_passes
        self.num_views = labels.num_views if isinstance(labels, SoftLabels) else num_passes
        # Named for Lightning, which tells the sampler of a loader each new epoch.
        self.sampler = _Passes(
            EpochOrder(
                indices=torch.arange(len(classes), device=self.device), batch_size=batch_size, shuffle=True, seed=seed
            ),
            passes_per_epoch=self.passes_per_epoch,
        )
        self.batch_sampler = None

    @property
    def num_epochs(self) -> int:
        """The number of epochs that hold all passes."""
        return self.num_passes // self.passes_per_epoch

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[StudentBatch]:
        for number, samples in self.sampler:
            view = number % self.num_views
            mixing = self.views.mixing(samples, view)
            soft_logits = None
            if self.labels is not None:
                soft_logits = self.labels.logits(samples, view).to(self.device)
                if self.adjust is not None:
                    soft_logits = self.adjust(soft_logits)
            yield StudentBatch(
                images=self.views.images(samples, view),
                soft_logits=soft_logits,
                classes=self.classes[samples],
                partner_classes=self.classes[mixing.partner],
                share=mixing.share,
            )


def _check_labels(labels: SoftLabels | LiveLabels, views: Views, num_passes: int) -> None:
    """Labels of other pictures would be learned without a word."""
    if isinstance(labels, SoftLabels):
        sha256, settings = labels.facts.distilled_sha256, labels.views
    elif isinstance(labels, LiveLabels):
        sha256, settings = labels.views.distilled.sha256, labels.views.settings
    else:
        raise ArgumentTypeError("labels", rule="be SoftLabels, LiveLabels or None", got=type(labels).__name__)
    if sha256 != views.distilled.sha256:
        raise ArgumentValueError(
            "labels",
            rule=f"be of the set in `views`, sha256 {views.distilled.sha256[:12]}...",
            got=f"labels of {sha256[:12]}...",
            way_out="Label this set.",
        )
    if settings != views.settings:
        raise ArgumentValueError(
            "labels",
            rule=f"be of the view settings in `views`, {views.settings}",
            got=str(settings),
            way_out="Make the Views with the labels' settings.",
        )
    missing = [view for view in labels.missing_views() if view < num_passes] if isinstance(labels, SoftLabels) else []
    if missing:
        raise ArgumentValueError(
            "labels",
            rule="hold every view that is learned from",
            got=f"a store of which {len(missing)} are not written yet, the first is {missing[0]}",
            way_out="Complete them with write_soft_labels.",
        )


class _Passes:
    """The passes of an epoch, one order after the other."""

    def __init__(self, order: EpochOrder, *, passes_per_epoch: int) -> None:
        self.order, self.passes_per_epoch = order, passes_per_epoch
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.order) * self.passes_per_epoch

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        first = self.epoch * self.passes_per_epoch
        for number in range(first, first + self.passes_per_epoch):
            self.order.set_epoch(number)
            for key in self.order:
                yield number, key.samples
