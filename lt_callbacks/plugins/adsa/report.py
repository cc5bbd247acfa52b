from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch import Trainer
from torch import Tensor

from lt_callbacks.adsa import TauFit
from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.evaluation import class_confidence_figure, distilled_images_figure, save_figure, tau_curve_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures_of(fit: TauFit, distilled: DistilledSet, *, class_prior: Tensor) -> dict[str, Figure]:
    """Name -> figure: ``tau``, ``confidence``, and where images have one or three channels ``images``.

    Args:
        fit: What was fitted.
        distilled: The set.
        class_prior: (C,) counts or frequencies, as they were given.
    """
    figures = {
        "tau": tau_curve_figure(
            fit.taus.numpy(),
            fit.spread.numpy(),
            tau=fit.tau,
            interval=fit.interval,
            identified=fit.identified,
            reason=fit.reason,
            unshrunk_tau=fit.unshrunk_tau,
        ),
        "confidence": class_confidence_figure(
            fit.class_confidence_before.numpy(),
            fit.class_confidence.numpy(),
            class_counts=class_prior.numpy(),
            class_names=distilled.class_names,
        ),
    }
    if distilled.image_shape[0] in (1, 3):
        figures["images"] = distilled_images_figure(
            distilled.images.numpy(),
            distilled.intended_class.numpy(),
            class_names=distilled.class_names,
            classes=class_prior.argsort(descending=True, stable=True).tolist(),
            title="Distilled images, head to tail",
        )
    return figures


def save_figures(figures: dict[str, Figure], folder: Path) -> dict[str, Path]:
    """Name -> PNG file in ``folder``."""
    return {name: save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()}


def metrics_of(fit: TauFit, *, num_alarms: int) -> dict[str, float]:
    """What is logged once: see :class:`lt_callbacks.ADSACallback`."""
    metrics = {
        "adsa/tau": fit.tau,
        "adsa/identified": float(fit.identified),
        "adsa/spread_before": float(fit.class_confidence_before.std(correction=0)),
        "adsa/spread_after": float(fit.class_confidence.std(correction=0)),
        "adsa/num_alarms": float(num_alarms),
    }
    if fit.interval is not None:
        metrics["adsa/tau_low"], metrics["adsa/tau_high"] = fit.interval
    return metrics


def log_report(trainer: Trainer, metrics: dict[str, float], figures: dict[str, Figure], files: dict[str, Path]) -> None:
    """Hand metrics to every logger, and figures to those that take images; on rank 0.

    The files are complete by then: what goes wrong in a logger is a warning.
    """
    for logger in trainer.loggers:
        try:
            logger.log_metrics(metrics, step=trainer.global_step)
            _log_figures(logger, figures, files, step=trainer.global_step)
        # Loggers are other people's programs, and their servers may be gone at the end of a long training.
        except Exception as error:
            warnings.warn(
                f"{type(logger).__name__} did not take ADSA's results: {type(error).__name__}: {error}. They are in "
                f"{str(next(iter(files.values())).parent)!r}.",
                stacklevel=2,
            )


def _log_figures(logger: Any, figures: dict[str, Figure], files: dict[str, Path], *, step: int) -> None:
    experiment: Any = getattr(logger, "experiment", None)
    for name, figure in figures.items():
        if hasattr(logger, "log_image"):  # W&B and those that follow it
            logger.log_image(key=f"adsa/{name}", images=[str(files[name])], step=step)
        elif hasattr(experiment, "add_figure"):  # TensorBoard
            experiment.add_figure(f"adsa/{name}", figure, global_step=step)
