"""Argument checks with one message form: argument, rule, value received, way out. Standard library only."""

from __future__ import annotations

import difflib
import math
import numbers
import os
from collections.abc import Iterable
from pathlib import Path

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError


def one_of(name: str, value: object, allowed: Iterable[str], *, hint: str = "") -> str:
    """Return ``value`` if it is one of ``allowed``, otherwise raise with the nearest allowed name."""
    options = allowed if isinstance(allowed, tuple) else list(allowed)
    if isinstance(value, str) and value in options:
        return value
    near = difflib.get_close_matches(str(value), options, n=1)
    way_out = hint or (f"Did you mean {near[0]!r}?" if near else "")
    listed = ", ".join(repr(option) for option in options)
    raise ArgumentValueError(name, rule=f"be one of {listed}", got=repr(value), way_out=way_out)


def real(
    name: str,
    value: object,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    hint: str = "",
) -> float:
    """Return ``value`` as a finite float inside the given bounds."""
    rule = _rule("a finite number", at_least, above, at_most, below)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise ArgumentTypeError(name, rule=rule, got=repr(value), way_out=hint)
    if not _is_finite(value) or not _inside(float(value), at_least, above, at_most, below):
        raise ArgumentValueError(name, rule=rule, got=repr(value), way_out=hint)
    return float(value)


def _is_finite(value: numbers.Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        # An integer, or a fraction, beyond the greatest float.
        return False


def integer(
    name: str, value: object, *, at_least: int | None = None, at_most: int | None = None, hint: str = ""
) -> int:
    """Return ``value`` as an int inside the given bounds; a bool or a float is a ``TypeError``."""
    rule = _rule("an integer", at_least, None, at_most, None)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ArgumentTypeError(name, rule=rule, got=repr(value), way_out=hint)
    if not _inside(int(value), at_least, None, at_most, None):
        raise ArgumentValueError(name, rule=rule, got=repr(value), way_out=hint)
    return int(value)


def as_path(name: str, value: object, *, hint: str = "") -> Path:
    """Return ``value`` as a ``Path``; what is no text or path, bytes included, is a ``TypeError`` under its name.

    The empty text, which Python takes for the working directory, and one with a zero byte are refused too.
    """
    rule = "be a path: a str, or an object with one such as pathlib.Path"
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str):
        # Of a list or a table only the kind: its content would hide the message.
        shown = isinstance(text, bool | int | float | bytes | None)
        got = repr(text) if shown else type(text).__name__
        raise ArgumentTypeError(name, rule=rule, got=got, way_out=hint)
    if not text or "\0" in text:
        way_out = hint or ("" if text else "Write '.' for the working directory.")
        raise ArgumentValueError(name, rule=rule, got=repr(text), way_out=way_out)
    return Path(text)


def as_paths(name: str, values: object) -> list[Path]:
    """Return ``values`` as a list of ``Path``; one text or path alone, whose letters would count, is refused."""
    if isinstance(values, str | bytes | os.PathLike) or not isinstance(values, Iterable):
        got = repr(values) if isinstance(values, str | bytes | int | float | None) else type(values).__name__
        raise ArgumentTypeError(name, rule="be a list of paths", got=got, way_out="Put a single one into a list.")
    return [as_path(f"{name}[{position}]", value) for position, value in enumerate(values)]


def class_range_hint(least: int, greatest: int, num_classes: int, *, otherwise: str) -> str:
    """The way out of labels from ``least`` to ``greatest`` that are not 0..C-1: another where they count from 1."""
    return "They count from 1: subtract 1." if (least, greatest) == (1, num_classes) else otherwise


def _inside(
    value: float, at_least: float | None, above: float | None, at_most: float | None, below: float | None
) -> bool:
    return (
        (at_least is None or value >= at_least)
        and (above is None or value > above)
        and (at_most is None or value <= at_most)
        and (below is None or value < below)
    )


def _rule(kind: str, at_least: float | None, above: float | None, at_most: float | None, below: float | None) -> str:
    bounds = [
        # `g` would round a long integer.
        f"{sign} {bound if isinstance(bound, int) else format(bound, 'g')}"
        for sign, bound in ((">=", at_least), (">", above), ("<=", at_most), ("<", below))
        if bound is not None
    ]
    return " ".join(["be", kind, " and ".join(bounds)]).strip()
