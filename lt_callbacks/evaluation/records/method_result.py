from __future__ import annotations

import difflib
import json
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

from lt_callbacks import _checks
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError

_SHARES = ("accuracy", "many", "medium", "few", "best_accuracy", "wrong_labels_fitted")
_REQUIRED_SHARES = ("accuracy",)

#: What a share is a percentage of, unless a result says otherwise.
TEST_SET = "the test set"

# Fields whose name on disk is that of an earlier release, so that older documents stay readable.
_ON_DISK = {"setting": "cell"}


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """What one method reached with one seed: the unit that tables, figures and JSON documents are made of.

    All shares are percentages of ``scored_on`` after the last epoch, unless said otherwise. NaN is refused everywhere:
    a share that does not exist (a group without classes, a class without test samples) is ``None``.

    Args:
        method: Name of the method, as it shall appear in tables.
        seed: Training seed; equal seeds of two methods are a pair.
        accuracy: Percent of all test samples.
        many: Percent over the classes with the most training samples.
        medium: Percent over the classes between many and few.
        few: Percent over the classes with the fewest training samples.
        per_class: (C,) percent for each class, in label order.
        seconds: Wall time of the training, >= 0.
        best_accuracy: Percent at the best epoch. It is chosen by looking at the test set: for information only.
        wrong_labels_fitted: Percent of the wrongly labelled training samples that the model predicts as their given
            (wrong) label. 0 means that nothing wrong was memorised. None where nobody knows which labels are wrong.
        scored_on: What the shares are percentages of, in words.
        setting: Name of the setting, where a document holds several; results at different settings are never averaged.
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
    scored_on: str = TEST_SET
    setting: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _set(self, "method", _text("method", self.method))
        if not self.method:
            way_out = "Give the name that the table shall show."
            raise ArgumentValueError("method", rule="not be empty", got="''", way_out=way_out)
        _set(self, "scored_on", _text("scored_on", self.scored_on))
        _set(self, "setting", _text("setting", self.setting))
        _set(self, "seed", _checks.integer("seed", self.seed))
        for name in _SHARES:
            _set(self, name, _percent(name, getattr(self, name), optional=name not in _REQUIRED_SHARES))
        _set(self, "per_class", _percents("per_class", self.per_class))
        _set(self, "seconds", _checks.real("seconds", self.seconds, at_least=0))
        _set(self, "extra", json_object("extra", self.extra))

    @property
    def key(self) -> tuple[str, int, str]:
        """Identity within a document: method, seed, setting."""
        return self.method, self.seed, self.setting

    def to_dict(self) -> dict[str, Any]:
        """The fields under their names on disk; ``from_dict`` restores an equal object."""
        values = {_ON_DISK.get(name, name): value for name, value in asdict(self).items()}
        values["per_class"] = list(self.per_class)
        if self.scored_on == TEST_SET:
            # Earlier releases knew nothing else and said nothing of it.
            del values["scored_on"]
        if self.wrong_labels_fitted is None:
            # Nothing is said of wrong labels where there are none, or nobody knows which they are.
            del values["wrong_labels_fitted"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MethodResult:
        """The result that ``to_dict`` made ``values`` of; unknown and missing names are refused."""
        if not isinstance(values, Mapping):
            rule, got = "be a mapping of field names to values", type(values).__name__
            raise ArgumentTypeError("values", rule=rule, got=got)
        entries = {_ON_DISK.get(entry.name, entry.name): entry for entry in fields(cls)}
        for name in values:
            if name not in entries:
                near = difflib.get_close_matches(str(name), list(entries), n=1)
                way_out = f"Did you mean {near[0]!r}?" if near else "Put what is not a field under `extra`."
                rule = f"hold the fields {', '.join(entries)} only"
                raise ArgumentValueError("values", rule=rule, got=repr(name), way_out=way_out)
        required = [name for name, entry in entries.items() if entry.default is entry.default_factory is MISSING]
        missing = [name for name in required if name not in values]
        if missing:
            raise ArgumentValueError(
                "values",
                rule=f"hold {', '.join(required)}",
                got=f"no {', '.join(missing)}",
                way_out="Use None for the share of an empty group.",
            )
        return cls(**{entries[name].name: value for name, value in values.items()})


def scored_on(results: Sequence[MethodResult]) -> str:
    """What the shares of all these results are percentages of, in words."""
    return " or ".join(dict.fromkeys(result.scored_on for result in results)) or TEST_SET


def accuracy_name(results: Sequence[MethodResult]) -> str:
    """How an axis calls these results' accuracy: test accuracy only where all were scored on a test set."""
    return "test accuracy (%)" if scored_on(results) == TEST_SET else "accuracy (%)"


def json_object(name: str, value: object) -> dict[str, Any]:
    """A copy of ``value`` as it will come back from a JSON file, so that equality survives the round trip."""
    rule = "be a mapping with text keys"
    if not isinstance(value, Mapping):
        raise ArgumentTypeError(name, rule=rule, got=repr(value))
    for key in value:
        if not isinstance(key, str):
            raise ArgumentTypeError(name, rule=rule, got=f"the key {key!r}", way_out="Use `str(key)`.")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        kind = ArgumentTypeError if isinstance(error, TypeError) else ArgumentValueError
        raise kind(
            name,
            rule="hold only what JSON can (finite numbers, text, lists, mappings)",
            got=f"{value!r}: {error}",
            way_out="Convert arrays with `.tolist()`, NaN to None.",
        ) from error
    return copy


def _set(result: MethodResult, name: str, value: object) -> None:
    object.__setattr__(result, name, value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ArgumentTypeError(name, rule="be text", got=repr(value))
    return value


def _percent(name: str, value: object, *, optional: bool) -> float | None:
    if value is None and optional:
        return None
    hint = "Use None where there is nothing to average." if optional else "Shares are in percent."
    return _checks.real(name, value, at_least=0, at_most=100, hint=hint)


def _percents(name: str, values: object) -> tuple[float | None, ...]:
    if isinstance(values, (str, numbers.Number)) or not isinstance(values, Iterable):
        raise ArgumentTypeError(name, rule="be a sequence of percentages, one a class", got=repr(values))
    shares = tuple(_percent(f"{name}[{label}]", value, optional=True) for label, value in enumerate(values))
    if not shares:
        raise ArgumentValueError(name, rule="hold one percentage a class", got="an empty sequence")
    return shares
