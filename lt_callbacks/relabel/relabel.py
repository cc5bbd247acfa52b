from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from lt_callbacks._errors import StateError
from lt_callbacks.relabel.calibration import Calibration, find_calibration
from lt_callbacks.relabel.folder import RelabelledFolder
from lt_callbacks.relabel.ranks import OneProcess, Ranks
from lt_callbacks.relabel.source import LogitSource
from lt_callbacks.relabel.task import RelabelTask
from lt_callbacks.relabel.write import Report, write_relabelled


@dataclass(frozen=True, kw_only=True, eq=False)
class Relabelled:
    """The outcome of `relabel`: tau with all that is known about it, and the figures.

    Attributes:
        calibration: tau and how well it is known, what the labels are like, alarms; alike on all ranks.
        report: The figures; None on ranks other than 0.
    """

    calibration: Calibration
    report: Report | None


def relabel(
    task: RelabelTask,
    source: LogitSource,
    folder: RelabelledFolder,
    *,
    found: Calibration | None = None,
    ranks: Ranks | None = None,
    on_view: Callable[[int], None] | None = None,
) -> Relabelled:
    """Relabel a distilled set: observations -> tau -> alarms -> calibrated labels -> folder.

    A run that was killed while it wrote goes on when called again, as far as model and tau are the same.

    Args:
        task: The set, the class prior and the settings.
        source: Gives the uncalibrated logits.
        folder: Where the output goes; new, or left by a run that was stopped.
        found: What `find_calibration` returned for this task and source; None: it is called here.
        ranks: Processes that share the work, all of which call this and see the same folder; None: this one alone.
        on_view: Called with the view's number when its labels are written.

    Raises:
        RuntimeError: There are alarms and ``on_degenerate`` is ``"raise"``, or another rank failed.
        ValueError: A logit is not finite, or the folder is finished or holds something else.
    """
    ranks = ranks or OneProcess()
    if found is None:
        found = find_calibration(task, source, ranks=ranks)
    _raise_or_warn(found, task.settings.on_degenerate, ranks)
    report = write_relabelled(task, source, found, folder, ranks=ranks, on_view=on_view)
    return Relabelled(calibration=found, report=report)


def _raise_or_warn(found: Calibration, on_degenerate: str, ranks: Ranks) -> None:
    if found.alarms and on_degenerate == "raise":
        raise StateError(
            f"{' '.join(found.alarms)} Nothing was written. Set `on_degenerate='warn'` to have the labels anyway."
        )
    if ranks.rank == 0:
        for alarm in found.alarms:
            warnings.warn(alarm, stacklevel=3)
