# Legend: N images of the set, C classes.
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.distilled_set.live_labels import LiveLabels, in_eval_mode
from lt_callbacks.distilled_set.soft_labels import SoftLabels
from lt_callbacks.distilled_set.views import Views


@torch.no_grad()
def write_soft_labels(
    model: nn.Module,
    views: Views,
    labels: SoftLabels,
    *,
    adjust: Callable[[Tensor], Tensor] | None = None,
    batch_size: int = 256,
    rank: int = 0,
    num_ranks: int = 1,
    on_view: Callable[[int], None] | None = None,
) -> list[int]:
    """Label the views that a store still misses; a run that was killed goes on where it was.

    Logits stay on the device until a view is complete: one copy to the host a view.

    Args:
        model: Its ``forward(images)`` returns (B, C) logits. Used in eval mode, left in the modes that it was in.
        views: The distilled set as the model sees it; the model is on the same device.
        labels: The store, of this set and these view settings.
        adjust: (B, C) float32 logits -> logits of that shape, such as a calibration; None: nothing. What it is belongs
            into the store's ``calibration``.
        batch_size: Images in a forward pass.
        rank: This process labels the missing ones of views rank, rank + num_ranks, .... Processes do not talk.
        num_ranks: Processes that share the work.
        on_view: Called with the view's number when its file is written.

    Returns:
        The views that this call wrote.

    Raises:
        TypeError, ValueError: An argument is out of range, the store is of another set or other views, or the model
            gives logits of another shape or such as are not finite.
    """
    batch_size = integer("batch_size", batch_size, at_least=1)
    num_ranks = integer("num_ranks", num_ranks, at_least=1)
    rank = integer("rank", rank, at_least=0, at_most=num_ranks - 1, hint="Ranks count from 0.")
    source = LiveLabels(model, views, adjust=adjust)
    _check_store(views, labels)
    todo = [view for view in labels.missing_views() if view % num_ranks == rank]
    everything = torch.arange(len(views), device=views.device)
    with in_eval_mode(model):
        for view in todo:
            logits = torch.cat([source.logits(samples, view) for samples in everything.split(batch_size)])
            labels.write(view, logits)
            if on_view is not None:
                on_view(view)
    return todo


def _check_store(views: Views, labels: SoftLabels) -> None:
    if not isinstance(labels, SoftLabels):
        raise ArgumentTypeError(
            "labels", rule="be SoftLabels", got=type(labels).__name__, way_out="Use SoftLabels.create(...)."
        )
    if labels.facts.distilled_sha256 != views.distilled.sha256:
        raise ArgumentValueError(
            "labels",
            rule=f"be a store of the set in `views`, sha256 {views.distilled.sha256[:12]}...",
            got=f"{str(labels.folder)!r}, which is of {labels.facts.distilled_sha256[:12]}...",
            way_out="Create one for this set.",
        )
    if labels.views != views.settings:
        raise ArgumentValueError(
            "labels",
            rule=f"be a store of the view settings in `views`, {views.settings}",
            got=f"{str(labels.folder)!r}, which is of {labels.views}",
            way_out="Make the Views with the store's settings, `labels.views`.",
        )
