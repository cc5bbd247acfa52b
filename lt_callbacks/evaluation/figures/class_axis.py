"""What the figures with one place a class share: counts, order, names."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence, Sized
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lt_callbacks._arrays import as_array
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.evaluation.figures import figure_style as style
from lt_callbacks.evaluation.figures import fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMED = 40


def names_of(class_names: Sequence[str] | None, num_classes: int, *, longest: int = 20) -> list[str]:
    """Class names as matplotlib draws them: numbers where there are none, cut with an ellipsis where they are long.

    A name with characters that no installed font has becomes ``class 3``, with a warning; a dollar sign is one, and
    begins no formula.

    Raises:
        ValueError: The number of names is not the number of classes.
    """
    if class_names is None:
        return [str(label) for label in range(num_classes)]
    if isinstance(class_names, str) or not isinstance(class_names, Sized) or not isinstance(class_names, Iterable):
        way_out = "Leave it out to show class numbers."
        raise ArgumentTypeError("class_names", rule="be a sequence of names", got=repr(class_names), way_out=way_out)
    if len(class_names) != num_classes:
        rule, got = f"hold one name a class ({num_classes})", str(len(class_names))
        raise ArgumentValueError("class_names", rule=rule, got=got, way_out="Leave it out to show class numbers.")
    shown = [_cut(_on_one_line(str(name)), longest) for name in class_names]
    unknown = {character for name in shown for character in fonts.missing(name)}
    if unknown:
        fonts.warn(unknown, instead="such a class is called by its number, counted from 0")
    return [fonts.plain(name) if unknown.isdisjoint(name) else f"class {label}" for label, name in enumerate(shown)]


def _on_one_line(name: str) -> str:
    """``name`` without tabs, line breaks and other control characters, which have no shape."""
    return " ".join("".join(" " if unicodedata.category(each) == "Cc" else each for each in name).split())


def _cut(name: str, longest: int) -> str:
    if fonts.width(name) <= longest:
        return name
    end = len(name)
    while fonts.width(name[:end]) > longest - 1:
        end -= 1
    return name[:end].rstrip(" ,") + "…"


def counts(name: str, values: ArrayLike) -> np.ndarray:
    """Counts of samples as a (C,) int64 array.

    Raises:
        ValueError: Another shape, negative or fractional counts, or no sample at all.
    """
    array = as_array(name, values)
    if array.ndim != 1 or not array.size:
        raise ArgumentValueError(name, rule="have shape (C,), one count a class", got=str(array.shape))
    if array.dtype.kind not in "iuf" or not np.all(np.isfinite(array)):
        got = f"dtype {array.dtype} with values {array.tolist()}"
        raise ArgumentValueError(name, rule="be whole numbers >= 0", got=got)
    if array.max() > 2**53:
        # Larger ones are not exact as floats.
        raise ArgumentValueError(name, rule="be at most 2**53", got=f"{array.max()} for class {array.argmax()}")
    wrong = np.flatnonzero((array < 0) | (array != np.round(array)))
    if wrong.size:
        raise ArgumentValueError(
            name,
            rule="be whole numbers >= 0",
            got=f"{array[wrong[0]]} for class {wrong[0]}",
            way_out="Pass counts of samples, not frequencies.",
        )
    if not array.sum():
        raise ArgumentValueError(name, rule="hold at least one sample", got=f"{len(array)} empty classes")
    return array.astype(np.int64)


def by_count(class_counts: np.ndarray) -> np.ndarray:
    """Labels from the largest to the smallest class; equal classes in label order."""
    return np.argsort(-class_counts, kind="stable")


def name_classes(axes: Axes, names: Sequence[str]) -> None:
    """Name the classes under the axis, upright where they would run into each other; no names beyond 40 classes."""
    if len(names) > MOST_NAMED:
        axes.set_xticks([])
        return
    axes.set_xticks(range(len(names)), names, rotation=90 if _is_upright(names) else 0, fontsize=style.TICK_SIZE)


def name_height(names: Sequence[str]) -> float:
    """Inches that the names under the axis take, for the height of the figure."""
    if len(names) > MOST_NAMED:
        return 0.0
    return 0.15 + 0.072 * max(map(fonts.width, names)) if _is_upright(names) else 0.2


def _is_upright(names: Sequence[str]) -> bool:
    return len(names) * max(map(fonts.width, names)) > 50
