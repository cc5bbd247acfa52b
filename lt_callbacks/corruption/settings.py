from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from lt_callbacks._checks import as_path, integer, one_of, real
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.corruption.counts import checked_profile
from lt_callbacks.corruption.transitions import TRANSITION_KINDS

#: Noise types by name: the matrices, human labels from a file, and the user's own transition from a file.
NOISE_KINDS = (*TRANSITION_KINDS, "human", "custom")

SettingsT = TypeVar("SettingsT")

# The file that a kind reads; kinds without one are a matrix with a ratio.
FILE_OF_KIND = {"human": "given_labels_file", "custom": "transition_file"}


@dataclass(frozen=True, kw_only=True)
class Imbalance:
    """How class sizes fall from head to tail. The default, factor 1, keeps every sample.

    Args:
        profile: ``"exponential"``, ``"step"`` or ``"none"``; see :func:`class_counts`.
        factor: Head size over tail size, >= 1; must be 1 with ``"none"``.
        class_order: The classes from head to tail, each once; default label order. Not with ``"none"``.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A setting is unknown, out of range or does not belong to ``profile``.

    Example:
        >>> Imbalance(factor=100)
        Imbalance(profile='exponential', factor=100.0, class_order=None)
    """

    profile: str = "exponential"
    factor: float = 1.0
    class_order: Sequence[int] | None = None

    def __post_init__(self) -> None:
        _, factor = checked_profile(self.profile, self.factor, factor_name="factor")
        object.__setattr__(self, "factor", factor)
        if self.class_order is None:
            return
        if self.profile == "none":
            raise ArgumentValueError(
                "class_order",
                rule="be left out with profile 'none', which has no head",
                got=repr(self.class_order),
                way_out="Remove it.",
            )
        if isinstance(self.class_order, str) or not isinstance(self.class_order, Iterable):
            raise ArgumentTypeError(
                "class_order",
                rule="be a sequence of classes",
                got=repr(self.class_order),
                way_out="Put the head class first: [2, 0, 1].",
            )
        order = tuple(integer("class_order", label, at_least=0) for label in self.class_order)
        object.__setattr__(self, "class_order", order)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Which labels become wrong, and how.

    Args:
        kind: A kind of :func:`transition_matrix`; ``"human"``: given labels from ``given_labels_file``;
            ``"custom"``: a transition matrix, or one row a sample, from ``transition_file``.
        ratio: Noise ratio in [0, 1) by the convention of ``kind``; 0 with ``"none"``, ``"human"`` and ``"custom"``.
        given_labels_file: ``.npy``, ``.npz``, ``.pt`` or ``.txt`` aligned with the full original training set.
        given_labels_key: Entry of an ``.npz`` or ``.pt`` file.
        transition_file: ``.npy`` or ``.csv``, (C, C) or one row for each sample of the full original training set.

    Raises:
        TypeError: A number has the wrong type.
        ValueError: A setting is unknown, out of range, missing or does not belong to ``kind``.

    Example:
        >>> Noise(kind="symmetric", ratio=0.4)
        Noise(kind='symmetric', ratio=0.4, ...)
    """

    kind: str = "none"
    ratio: float = 0.0
    given_labels_file: str | os.PathLike[str] | None = None
    given_labels_key: str | None = None
    transition_file: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        one_of("kind", self.kind, NOISE_KINDS)
        ratio = real("ratio", self.ratio, at_least=0, below=1)
        if self.kind in ("none", *FILE_OF_KIND) and ratio != 0:
            raise ArgumentValueError(
                "ratio",
                rule=f"be 0 with kind {self.kind!r}, which has no ratio",
                got=f"{ratio:g}",
                way_out="Remove it, or choose a kind with a ratio, such as 'symmetric'.",
            )
        object.__setattr__(self, "ratio", ratio)
        for owner, name in FILE_OF_KIND.items():
            path = getattr(self, name)
            if (path is not None) != (self.kind == owner):
                raise ArgumentValueError(
                    name,
                    rule=f"be given with kind {owner!r} and with no other",
                    got=f"{path!r} with kind {self.kind!r}",
                    way_out="Set both or none.",
                )
            if path is not None:
                object.__setattr__(self, name, str(as_path(name, path)))
        if self.given_labels_key is not None and self.kind != "human":
            raise ArgumentValueError(
                "given_labels_key",
                rule=f"be left out with kind {self.kind!r}",
                got=repr(self.given_labels_key),
                way_out="It belongs to kind 'human'.",
            )


def checked_settings(name: str, value: object, kind: type[SettingsT]) -> SettingsT:
    """``value`` where it is an `Imbalance` or a `Noise`, as asked for; a dictionary is refused with the way to one."""
    if isinstance(value, kind):
        return value
    call = f"{kind.__name__}(...)"
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        call = f"{kind.__name__}({', '.join(f'{key}={setting!r}' for key, setting in value.items())})"
    raise ArgumentTypeError(
        name,
        rule=f"be an {kind.__name__}" if kind is Imbalance else f"be a {kind.__name__}",
        got=repr(value),
        way_out=f"Pass `{call}` of lt_callbacks.corruption.",
    )
