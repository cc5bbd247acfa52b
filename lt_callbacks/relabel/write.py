# Legend: N distilled images, C classes, V views.
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from lt_callbacks.adsa import TauFit, calibrate
from lt_callbacks.distilled_set import SoftLabels, Views
from lt_callbacks.relabel.calibration import Calibration
from lt_callbacks.relabel.figures import figures_of, save_figures
from lt_callbacks.relabel.folder import LABELS, RelabelledFolder
from lt_callbacks.relabel.ranks import OutcomeT, Ranks
from lt_callbacks.relabel.result import calibration_facts, result_facts
from lt_callbacks.relabel.source import LogitSource
from lt_callbacks.relabel.task import RelabelTask

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """The figures of a relabelled set.

    Attributes:
        figures: Name -> figure.
        files: Name -> its PNG file.
    """

    figures: dict[str, Figure]
    files: dict[str, Path]


@torch.no_grad()
def write_relabelled(
    task: RelabelTask,
    source: LogitSource,
    found: Calibration,
    folder: RelabelledFolder,
    *,
    ranks: Ranks,
    on_view: Callable[[int], None] | None = None,
) -> Report | None:
    """Write the set, its calibrated labels, the figures and last ``adsa.json``.

    Rank 0 writes all but the labels, of which every rank writes its share of the views; a rank starts a part when all
    have finished the one before.

    Returns:
        The figures; None on ranks other than 0.
    """
    _on_rank_0(ranks, partial(_prepare, task, source, found.label_fit, folder))
    ranks.together(partial(_label, task, source, found.label_fit, folder, ranks, on_view))
    return _on_rank_0(ranks, partial(_finish, task, source, found, folder))


def _on_rank_0(ranks: Ranks, work: Callable[[], OutcomeT]) -> OutcomeT | None:
    """What ``work`` returns on rank 0, and None on the others, which fail if it fails."""
    return ranks.together(work if ranks.rank == 0 else lambda: None)


def _prepare(task: RelabelTask, source: LogitSource, fit: TauFit, folder: RelabelledFolder) -> None:
    folder.prepare(
        task.distilled,
        views=task.settings.views,
        num_views=task.settings.num_views,
        calibration=calibration_facts(task, source, fit),
        top_k=task.settings.top_k,
    )


def _label(
    task: RelabelTask,
    source: LogitSource,
    fit: TauFit,
    folder: RelabelledFolder,
    ranks: Ranks,
    on_view: Callable[[int], None] | None,
) -> None:
    """Write the rank's share of the views that are missing; one that was killed left whole views only."""
    labels = SoftLabels.open(folder.folder / LABELS, distilled=task.distilled)
    logits = source.stored or source.of(Views(task.distilled, task.settings.views, device=source.device))
    # Moved once: a copy from the host in every batch would make it wait for the device. What is stored is on the host.
    device = source.device if source.stored is None else torch.device("cpu")
    batches = torch.arange(len(task.distilled), device=device).split(task.settings.batch_size)
    adjust = partial(calibrate, class_prior=task.class_prior, tau=fit.tau, target_prior=task.settings.target_prior)
    for view in labels.missing_views():
        if view % ranks.num_ranks == ranks.rank:
            labels.write(view, torch.cat([adjust(logits(samples, view)) for samples in batches]))
            if on_view is not None:
                on_view(view)


def _finish(task: RelabelTask, source: LogitSource, found: Calibration, folder: RelabelledFolder) -> Report:
    figures = figures_of(found.label_fit, task.distilled, class_prior=task.class_prior)
    files = save_figures(figures, folder.folder)
    folder.finish(result_facts(task, source, found))
    return Report(figures=figures, files=files)
