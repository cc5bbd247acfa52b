# Legend: C classes.
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from lt_callbacks.adsa import TauFit
from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.evaluation import class_confidence_figure, distilled_images_figure, save_figure, tau_curve_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figures_of(fit: TauFit, distilled: DistilledSet, *, class_prior: Tensor) -> dict[str, Figure]:
    """The figures of a relabelled set by name: ``tau``, ``confidence``, and of one or three channels ``images``.

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
    """Write each figure as a PNG file into ``folder``; returns name -> file."""
    return {name: save_figure(figure, folder / f"{name}.png") for name, figure in figures.items()}
