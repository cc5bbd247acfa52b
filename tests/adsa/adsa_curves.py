"""The curves that the package makes of a problem."""

from __future__ import annotations

from lt_callbacks.adsa.class_curves import ClassCurves
from lt_callbacks.adsa.class_moments import class_moments
from lt_callbacks.adsa.tau_problem import FitSettings, TauProblem

GRID = FitSettings().grid()


def curves_of(logits, intended, prior, weight=None):
    found = TauProblem(prior, FitSettings())
    views = logits if logits.ndim == 3 else logits[None]
    curves, totals, _ = class_moments(views, intended, weight, tilts=found.tilts(views.device))
    return ClassCurves.from_moments(curves, totals, nodes=found.nodes)
