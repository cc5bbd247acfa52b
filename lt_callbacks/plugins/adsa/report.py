from __future__ import annotations

import time
import warnings
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_info

from lt_callbacks.relabel.calibration import Calibration
from lt_callbacks.relabel.write import Report

_SECONDS_BETWEEN_LINES = 10.0


class ViewLines:
    """Says how far the labelling is, every ten seconds; shown on rank 0.

    Args:
        num_views: Views that are labelled by all ranks together.
    """

    def __init__(self, num_views: int) -> None:
        self._num_views, self._last = num_views, time.monotonic()

    def __call__(self, view: int) -> None:
        """Says so where the last line was long ago.

        Args:
            view: Number of the view that was labelled.
        """
        if time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            rank_zero_info(f"ADSA: view {view + 1} of {self._num_views} labelled")


def metrics_of(found: Calibration) -> dict[str, float]:
    """What `ADSACallback` logs once: tau, its interval, the spread before and after, the number of alarms."""
    fit = found.label_fit
    metrics = {
        "adsa/tau": fit.tau,
        "adsa/identified": float(fit.identified),
        "adsa/spread_before": float(fit.class_confidence_before.std(correction=0)),
        "adsa/spread_after": float(fit.class_confidence.std(correction=0)),
        "adsa/num_alarms": float(len(found.alarms)),
    }
    if fit.interval is not None:
        metrics["adsa/tau_low"], metrics["adsa/tau_high"] = fit.interval
    return metrics


def log_report(trainer: Trainer, metrics: dict[str, float], report: Report) -> None:
    """Hand metrics to every logger, and figures to those that take images; on rank 0.

    The files are complete by then: what goes wrong in a logger is a warning.
    """
    for logger in trainer.loggers:
        try:
            logger.log_metrics(metrics, step=trainer.global_step)
            _log_figures(logger, report, step=trainer.global_step)
        # Loggers are other people's programs, and their servers may be gone at the end of a long training.
        except Exception as error:
            warnings.warn(
                f"{type(logger).__name__} did not take ADSA's results: {type(error).__name__}: {error}. They are in "
                f"{str(next(iter(report.files.values())).parent)!r}.",
                stacklevel=2,
            )


def _log_figures(logger: Any, report: Report, *, step: int) -> None:
    experiment: Any = getattr(logger, "experiment", None)
    for name, figure in report.figures.items():
        if hasattr(logger, "log_image"):  # W&B and those that follow it
            logger.log_image(key=f"adsa/{name}", images=[str(report.files[name])], step=step)
        elif hasattr(experiment, "add_figure"):  # TensorBoard
            experiment.add_figure(f"adsa/{name}", figure, global_step=step)
