from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.objectives.balanced_softmax import BalancedSoftmax
from lt_callbacks.objectives.base import Objective
from lt_callbacks.objectives.cross_entropy import CrossEntropy
from lt_callbacks.objectives.elr import EarlyLearningRegularization
from lt_callbacks.objectives.gce import GeneralizedCrossEntropy
from lt_callbacks.objectives.ldam_drw import LDAM
from lt_callbacks.objectives.logit_adjustment import LogitAdjustment
from lt_callbacks.objectives.sce import SymmetricCrossEntropy

#: Name of an objective -> its class.
OBJECTIVES: dict[str, type[Objective]] = {
    "cross_entropy": CrossEntropy,
    "logit_adjustment": LogitAdjustment,
    "balanced_softmax": BalancedSoftmax,
    "ldam_drw": LDAM,
    "gce": GeneralizedCrossEntropy,
    "sce": SymmetricCrossEntropy,
    "elr": EarlyLearningRegularization,
}


def build_objective(name: str, *, settings: Mapping[str, Any] | None = None) -> Objective:
    """An objective by its name in ``OBJECTIVES``.

    Args:
        name: For example ``"elr"``.
        settings: Constructor arguments; what is left out keeps its default.

    Raises:
        TypeError: ``settings`` is not a mapping.
        ValueError: Unknown name, or a setting that the objective does not have.

    Example:
        >>> build_objective("gce", settings={"q": 0.5}).q
        0.5
    """
    objective = OBJECTIVES[one_of("name", name, OBJECTIVES)]
    if settings is not None and not isinstance(settings, Mapping):
        raise ArgumentTypeError(
            "settings",
            rule="map names of settings to values",
            got=repr(settings),
            way_out="Pass a dict such as {'q': 0.5}.",
        )
    settings = dict(settings or {})
    allowed = list(inspect.signature(objective).parameters)
    unknown = [setting for setting in settings if setting not in allowed]
    if unknown:
        listed = ", ".join(repr(setting) for setting in allowed)
        near = difflib.get_close_matches(str(unknown[0]), allowed, n=1)
        raise ArgumentValueError(
            "settings",
            rule=f"be {listed} for objective {name!r}"
            if allowed
            else f"be left out for objective {name!r}, it has none",
            got=repr(unknown[0]),
            way_out=f"Did you mean {near[0]!r}?" if near else "Remove it.",
        )
    return objective(**settings)
