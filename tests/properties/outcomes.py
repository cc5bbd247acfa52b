"""A call that either gives a result or names the argument that is wrong; any other end is a bug."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from lt_callbacks._errors import ArgumentError

#: What `outcome` gives for a call that was refused.
REFUSED = object()


def outcome(function: Callable[..., Any], *args: Any, also: Iterable[str] = (), **named: Any) -> Any:
    """The result of a call, or REFUSED where an error names one of the function's arguments.

    Args:
        function: What is called.
        args: By position.
        also: Other names that an error may give: the fields of an object that is passed, in its words.
        named: By name.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **named)
    except ArgumentError as error:
        names = {*inspect.signature(function).parameters, *also}
        assert re.split(r"[\[.]", error.argument)[0] in names, f"names {error.argument!r}, no argument: {error}"
        assert error.got, error
        assert error.rule, error
        return REFUSED
