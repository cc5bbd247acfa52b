"""JSON documents from disk: read as a whole, and their entries checked by name. Standard library only."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lt_callbacks._errors import DataError


class Kind(NamedTuple):
    """What an entry of a document must be.

    Attributes:
        words: To be read after "which must be".
        fits: Whether a value is such.
    """

    words: str
    fits: Callable[[Any], bool]


class Each(NamedTuple):
    """A list whose entries are all of one kind."""

    kind: Kind | Mapping[str, Any]


#: Names of entries, and what each must be: a kind, a list of one, or an object with entries of its own.
Fields = Mapping[str, "Kind | Each | Fields"]

ANYTHING = Kind("anything", lambda value: True)
TEXT = Kind("text", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
INTEGER = Kind("an integer", lambda value: isinstance(value, int) and not isinstance(value, bool))
COUNT = Kind("an integer >= 0", lambda value: INTEGER.fits(value) and value >= 0)
NUMBER = Kind(
    "a finite number",
    # Of integers there are longer ones than a float holds.
    lambda value: (
        (INTEGER.fits(value) and abs(value) < 1 << 1023) or (isinstance(value, float) and math.isfinite(value))
    ),
)
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
LIST = Kind("a list", lambda value: isinstance(value, list))
INTEGERS = Kind("a list of integers", lambda value: LIST.fits(value) and all(map(INTEGER.fits, value)))
NUMBERS = Kind("a list of finite numbers", lambda value: LIST.fits(value) and all(map(NUMBER.fits, value)))
TEXTS = Kind("a list of texts", lambda value: LIST.fits(value) and all(map(TEXT.fits, value)))
VERSIONS = Kind(
    "an object of texts",
    lambda value: OBJECT.fits(value) and all(entry is None or TEXT.fits(entry) for entry in value.values()),
)
SHA256 = Kind(
    "64 hexadecimal digits",
    lambda value: isinstance(value, str) and len(value) == 64 and not set(value) - set("0123456789abcdef"),
)


def optional(kind: Kind) -> Kind:
    """The kind, or null."""
    return Kind(f"{kind.words} or null", lambda value: value is None or kind.fits(value))


def read_json(path: Path) -> Any:
    """What a file of JSON holds; NaN and infinity, which JSON has no word for, are refused.

    Raises:
        ValueError: The file cannot be read as JSON; the message says why and leaves naming the file to the caller.
    """
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant, parse_float=_finite)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from error
    except RecursionError as error:
        raise DataError("is nested more deeply than any file of ours") from error
    # A UnicodeDecodeError, too.
    except ValueError as error:
        raise DataError(str(error)) from error


def wrong_entry(content: Any, fields: Fields) -> str | None:
    """What is wrong with the first entry that is missing or of another kind, to be read after "which"; None: nothing.

    Args:
        content: A document, or a part of one.
        fields: The entries that it must have; others may be there.
    """
    return _wrong(content, fields, "")


def _wrong(value: Any, expected: Kind | Each | Fields, name: str) -> str | None:
    if isinstance(expected, Kind):
        return None if expected.fits(value) else _mistyped(value, expected.words, name)
    if isinstance(expected, Each):
        if not isinstance(value, list):
            return _mistyped(value, LIST.words, name)
        found = (_wrong(entry, expected.kind, f"{name}[{place}]") for place, entry in enumerate(value))
        return next((wrong for wrong in found if wrong), None)
    if not isinstance(value, dict):
        return _mistyped(value, OBJECT.words, name)
    for key, kind in expected.items():
        inner = f"{name}.{key}" if name else key
        if key not in value:
            return f"lacks the entry `{inner}`"
        wrong = _wrong(value[key], kind, inner)
        if wrong:
            return wrong
    return None


def _mistyped(value: Any, words: str, name: str) -> str:
    shown = json.dumps(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return f"has {shown} as its entry `{name}`, which must be {words}" if name else f"is {shown}, which must be {words}"


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise DataError(f"{text} is no finite number")
    return number


def _refuse_constant(name: str) -> Any:
    raise DataError(f"{name} is no JSON")
