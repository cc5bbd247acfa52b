"""A call that either gives a result or names the argument that is wrong; any other end is a bug."""

from __future__ import annotations

import inspect
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from lt_callbacks._errors import ArgumentError

#: What `outcome` gives for a call that was refused.
REFUSED = object()
#: How the calls of this process ended, for the table in docs/reliability.md.
COUNTS: Counter[str] = Counter()


def outcome(function: Callable[..., Any], *args: Any, also: Iterable[str] = (), **named: Any) -> Any:
    """The result of a call, or REFUSED where an error names one of the function's arguments.

    Args:
        function: What is called.
        args: By position.
        also: Other names that an error may give: the fields of an object that is passed, in its words.
        named: By name.
    """
    COUNTS["calls"] += 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **named)
    except ArgumentError as error:
        refusal = error
    COUNTS["refused by name"] += 1
    names = {*inspect.signature(function).parameters, *also}
    argument = re.split(r"[\[.]", refusal.argument)[0]
    assert argument in names, f"names {refusal.argument!r}, which is no argument: {refusal}"
    assert refusal.got, refusal
    assert refusal.rule, refusal
    return REFUSED
