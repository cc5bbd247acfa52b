from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.dataset_distillation.distiller import Distiller
from lt_callbacks.dataset_distillation.edc import EDC
from lt_callbacks.dataset_distillation.herding import Herding
from lt_callbacks.dataset_distillation.random_real import RandomReal
from lt_callbacks.dataset_distillation.sre2l import SRe2L

#: Every distiller by its name in configs.
DISTILLERS: dict[str, type[Distiller]] = {each.name: each for each in (RandomReal, Herding, SRe2L, EDC)}


def build_distiller(name: str, *, settings: Mapping[str, Any] | None = None) -> Distiller:
    """The distiller ``name`` with ``settings``; what they leave out keeps its default.

    Raises:
        TypeError: A value has another type.
        ValueError: Unknown name, unknown setting, or a value out of range.
    """
    kind = DISTILLERS[one_of("name", name, DISTILLERS)]
    known = [field.name for field in fields(kind)]
    for key in settings or {}:
        if not known:
            raise ArgumentValueError(
                f"settings of {name}", rule="be empty, it has none", got=repr(key), way_out="Leave it out."
            )
        one_of(f"settings of {name}", key, known)
    return kind(**dict(settings or {}))
