"""Settings of several documents: what they share, in what they differ, and how their values are written."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lt_callbacks._errors import ArgumentValueError

#: The axes of a study of noise and imbalance: rows and columns of its maps.
MAIN = ("noise.ratio", "imbalance.factor")

_DATA = "data.name"

#: Last parts of a key that name a thing; others belong to the thing.
_NAMES = ("name", "kind", "profile", "setting")

Flat = dict[str, Any]


def flatten(settings: Mapping[str, Any], *, prefix: str = "") -> Flat:
    """Nested groups of settings as one mapping with dotted keys.

    ``null`` and empty groups are left out: a setting that a release added with ``null``, or a group that a manifest
    replaced by it, is the same as one that is not there.
    """
    flat: Flat = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, prefix=f"{prefix}{name}.")
        elif value is not None:
            flat[prefix + name] = _whole(value)
    return flat


def identity(value: Any) -> str:
    """Text that is equal for equal values only; ``True`` is not 1, and lists can be compared too."""
    return json.dumps(value, sort_keys=True)


def text(value: Any) -> str:
    """A setting's value as it is typed on the command line."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def order(value: Any) -> tuple[int, float, str]:
    """Key that sorts the values of a setting: numbers by size, then words, ``null`` last."""
    if value is None:
        return 2, 0.0, ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0, float(value), ""
    return 1, 0.0, text(value)


def is_number(value: Any) -> bool:
    """Whether ``value`` is a number, which has a place on a line; a bool is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def find_axes(settings: Sequence[Flat], *, first: Sequence[str] = ()) -> tuple[tuple[str, ...], dict[str, str]]:
    """Keys in which settings differ, told apart by whether they are axes or follow one.

    A key follows an axis where each value of the axis comes with one value of the key: with ``noise.ratio`` 0, 0.2 and
    0.4, a ``noise.kind`` that is `none` at 0 and `symmetric` otherwise. The axes that stay tell all settings apart.

    Args:
        settings: One a document, flat.
        first: Keys that are axes whatever they follow, in this order, before the others.

    Returns:
        The axes, and key -> the axis that it follows.

    Raises:
        ValueError: ``first`` names a key that no document has, or one twice.
    """
    keys = list(dict.fromkeys(key for flat in settings for key in flat))
    for key in first:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1, cutoff=0.4)
            way_out = f"Did you mean {near[0]!r}?" if near else "Name it as on the command line."
            raise ArgumentValueError("group_by", rule="name settings of the results", got=repr(key), way_out=way_out)
        if list(first).count(key) > 1:
            rule, got = "name each setting once", f"{key!r} twice"
            raise ArgumentValueError("group_by", rule=rule, got=got, way_out="Drop one of the two.")
    column = {key: [identity(flat.get(key)) for flat in settings] for key in keys}
    differing = [key for key in keys if len(set(column[key])) > 1]
    forced = list(first)
    # results on different data must not hide behind a ratio that happens to differ too
    forced += [key for key in (_DATA,) if key in differing and key not in first]
    main = [key for key in MAIN if key in differing and key not in forced]
    forced += [key for key in main if _DATA not in forced or not _determines(column[_DATA], column[key])]
    axes, follows = list(forced), {}
    for key in sorted((key for key in differing if key not in forced), key=_priority):
        leader = next((axis for axis in axes if _determines(column[axis], column[key])), None)
        if leader is None:
            axes.append(key)
        else:
            follows[key] = leader
    return tuple(axes), follows


def _priority(key: str) -> int:
    """A name leads the settings of what it names; among equals, the documents' order stays."""
    return 0 if key.rpartition(".")[2] in _NAMES else 1


def _determines(leader: Sequence[str], follower: Sequence[str]) -> bool:
    return len(set(zip(leader, follower, strict=True))) == len(set(leader))


def _whole(value: Any) -> Any:
    """10.0 and 10 are one value, also within lists."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return [_whole(entry) for entry in value] if isinstance(value, (list, tuple)) else value
