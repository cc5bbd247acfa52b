"""Errors as a command shows them: the sentence alone, with the setting's name as it is typed on the command line."""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from hydra.errors import CompactHydraException

from lt_callbacks._errors import ArgumentError

_KINDS = (TypeError, ValueError, RuntimeError, FileNotFoundError, ImportError)


class CommandError(CompactHydraException):
    """A message for the person at the terminal. Hydra prints it without a trace unless ``HYDRA_FULL_ERROR=1``."""


@contextmanager
def without_trace() -> Iterator[None]:
    """Show an error that this package raised on purpose as its message; anything else is a bug and keeps its trace."""
    try:
        yield
    except _KINDS as error:
        if not is_spoken(error):
            raise
        raise CommandError(str(error)) from error


@contextmanager
def named(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors name a setting as the command line does: an argument ``ratio`` becomes ``noise.ratio``.

    Args:
        names: Argument, as it stands in backticks at the start of a message -> name of the setting.
    """
    try:
        yield
    except ArgumentError as error:
        if error.argument not in names:
            raise
        raise error.renamed(names[error.argument]) from error
    except _KINDS as error:
        argument = re.match(r"`([\w.]+)`", str(error))
        if type(error) not in _KINDS or argument is None or argument[1] not in names:
            raise
        raise type(error)(f"`{names[argument[1]]}`{str(error)[argument.end() :]}") from error


def names_in(group: str, schema: Any) -> dict[str, str]:
    """The ``names`` of a config group: field -> ``group.field``."""
    return {field.name: f"{group}.{field.name}" for field in fields(schema)}


def is_spoken(error: BaseException) -> bool:
    """Whether a ``raise`` of this package made it; what falls out of an expression was not meant for people."""
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code.co_code
    is_ours = str(trace.tb_frame.f_globals.get("__name__")).startswith("lt_callbacks.")
    return is_ours and dis.opname[code[trace.tb_lasti]] == "RAISE_VARARGS"
