# Legend: C classes, V views.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentTypeError
from lt_callbacks.distilled_set import ViewSettings
from lt_callbacks.relabel.fit import FITTED_ON
from lt_callbacks.relabel.prior import checked_prior

#: What tau is fitted on unless asked for otherwise.
DEFAULT_FIT_ON = "strong"
#: Views that are labelled where nothing else is said.
DEFAULT_NUM_VIEWS = 300


@dataclass(frozen=True, kw_only=True, eq=False)
class RelabelSettings:
    """Settings of a relabelling: what tau is fitted on, and which labels are written.

    Attributes:
        fit_on: What tau is fitted on: ``"plain"``, ``"crops"``, ``"mixed"`` or ``"strong"``, see `add_observations`.
        num_fit_views: Views that tau is fitted on, >= 1; not read for ``"plain"``.
        views: How images are varied for their labels; its values as a mapping will do.
        num_views: V, views that are labelled, >= 1.
        target_prior: (C,) counts or frequencies that the labels are wanted under; None: uniform. tau is fitted without.
        shrink_to: Draw tau to this value as far as the images leave it open; None: no.
        top_k: Keep that many classes a label in 8 bits; None: all, as float16.
        batch_size: Images in a forward pass.
        on_degenerate: What follows alarms: ``"warn"``, or ``"raise"`` before anything is written.

    Raises:
        TypeError, ValueError: A setting is out of range.
    """

    fit_on: str = DEFAULT_FIT_ON
    num_fit_views: int = 8
    views: ViewSettings = field(default_factory=ViewSettings)
    num_views: int = DEFAULT_NUM_VIEWS
    target_prior: Tensor | None = None
    shrink_to: float | None = None
    top_k: int | None = None
    batch_size: int = 256
    on_degenerate: str = "warn"

    def __post_init__(self) -> None:
        one_of("fit_on", self.fit_on, FITTED_ON)
        integer("num_fit_views", self.num_fit_views, at_least=1)
        self._set("views", _checked_views(self.views))
        integer("num_views", self.num_views, at_least=1)
        if self.target_prior is not None:
            self._set("target_prior", checked_prior("target_prior", self.target_prior))
        if self.shrink_to is not None:
            self._set("shrink_to", real("shrink_to", self.shrink_to))
        if self.top_k is not None:
            integer("top_k", self.top_k, at_least=1)
        integer("batch_size", self.batch_size, at_least=1)
        one_of("on_degenerate", self.on_degenerate, ("warn", "raise"))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def _checked_views(views: object) -> ViewSettings:
    if isinstance(views, Mapping):
        return ViewSettings.from_dict(views)
    if not isinstance(views, ViewSettings):
        raise ArgumentTypeError("views", rule="be ViewSettings, their values or None", got=type(views).__name__)
    return views
