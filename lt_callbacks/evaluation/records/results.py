from __future__ import annotations

import difflib
import json
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from lt_callbacks import _checks

_SHARES = ("accuracy", "many", "medium", "few", "best_accuracy", "wrong_labels_fitted")
_REQUIRED_SHARES = ("accuracy",)


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What one method reached with one seed: the unit that tables, figures and JSON documents are made of.

    All shares are percentages of the test set after the last epoch, unless said otherwise. NaN is refused everywhere:
    a share that does not exist (a group without classes, a class without test samples) is ``None``.

    Args:
        method: Name of the method, as it shall appear in tables.
        seed: Training seed; equal seeds of two methods are a pair.
        accuracy: Percent of all test samples.
        many: Percent over the classes with the most training samples; ``medium`` and ``few`` alike.
        medium: See ``many``.
        few: See ``many``.
        per_class: (C,) percent for each class, in label order.
        seconds: Wall time of the training, >= 0.
        best_accuracy: Percent at the best epoch. It is chosen by looking at the test set: for information only.
        wrong_labels_fitted: Percent of the wrongly labelled training samples that the model predicts as their given
            (wrong) label. 0 means that nothing wrong was memorised.
        cell: Name of the setting, where a document holds several; results of different cells are never averaged.
        extra: Anything else that JSON can hold.

    Raises:
        TypeError, ValueError: A field has the wrong type or range; the message names it.
    """

    method: str
    seed: int
    accuracy: float
    many: float | None
    medium: float | None
    few: float | None
    per_class: tuple[float | None, ...]
    seconds: float
    best_accuracy: float | None = None
    wrong_labels_fitted: float | None = None
    cell: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _set(self, "method", _text("method", self.method))
        if not self.method:
            raise ValueError("`method` must not be empty; got ''. Give the name that the table shall show.")
        _set(self, "cell", _text("cell", self.cell))
        _set(self, "seed", _checks.integer("seed", self.seed))
        for name in _SHARES:
            _set(self, name, _percent(name, getattr(self, name), optional=name not in _REQUIRED_SHARES))
        _set(self, "per_class", _percents("per_class", self.per_class))
        _set(self, "seconds", _checks.real("seconds", self.seconds, at_least=0))
        _set(self, "extra", json_object("extra", self.extra))

    @property
    def key(self) -> tuple[str, int, str]:
        """Identity within a document: method, seed, cell."""
        return self.method, self.seed, self.cell

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON holds them; ``from_dict`` restores an equal object."""
        values = asdict(self)
        values["per_class"] = list(self.per_class)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CellResult:
        """The inverse of ``to_dict``; unknown and missing names are refused."""
        if not isinstance(values, Mapping):
            raise TypeError(f"`values` must be a mapping of field names to values; got {type(values).__name__}.")
        known = [entry.name for entry in fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                way_out = f"Did you mean {near[0]!r}?" if near else "Put what is not a field under `extra`."
                raise ValueError(f"`values` may only hold the fields {', '.join(known)}; got {name!r}. {way_out}")
        required = [entry.name for entry in fields(cls) if entry.default is entry.default_factory is MISSING]
        missing = [name for name in required if name not in values]
        if missing:
            raise ValueError(
                f"`values` must hold {', '.join(required)}; got no {', '.join(missing)}. "
                "Use None for the share of an empty group."
            )
        return cls(**values)


def json_object(name: str, value: object) -> dict[str, Any]:
    """A copy of ``value`` as it will come back from a JSON file, so that equality survives the round trip."""
    if not isinstance(value, Mapping):
        raise TypeError(f"`{name}` must be a mapping with text keys; got {value!r}.")
    for key in value:
        if not isinstance(key, str):
            raise TypeError(f"`{name}` must be a mapping with text keys; got the key {key!r}. Use `str(key)`.")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"`{name}` must hold only what JSON can (finite numbers, text, lists, mappings); got {value!r}: {error}. "
            "Convert arrays with `.tolist()`, NaN to None."
        ) from error
    return copy


def _set(result: CellResult, name: str, value: object) -> None:
    object.__setattr__(result, name, value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be text; got {value!r}.")
    return value


def _percent(name: str, value: object, *, optional: bool) -> float | None:
    if value is None and optional:
        return None
    hint = "Use None where there is nothing to average." if optional else "Shares are in percent."
    return _checks.real(name, value, at_least=0, at_most=100, hint=hint)


def _percents(name: str, values: object) -> tuple[float | None, ...]:
    if isinstance(values, (str, numbers.Number)) or not isinstance(values, Iterable):
        raise TypeError(f"`{name}` must be a sequence of percentages, one a class; got {values!r}.")
    shares = tuple(_percent(f"{name}[{label}]", value, optional=True) for label, value in enumerate(values))
    if not shares:
        raise ValueError(f"`{name}` must hold one percentage a class; got an empty sequence.")
    return shares
