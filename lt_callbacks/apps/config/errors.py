"""Errors as a command shows them: the sentence alone, with the setting's name as it is typed on the command line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from hydra.errors import CompactHydraException

from lt_callbacks._errors import ArgumentError, UserError


class CommandError(CompactHydraException):
    """A message for the person at the terminal. Hydra prints it without a trace unless ``HYDRA_FULL_ERROR=1``."""


@contextmanager
def without_trace() -> Iterator[None]:
    """Show an error that this package raised on purpose as its message; anything else is a bug and keeps its trace."""
    try:
        yield
    except UserError as error:
        raise CommandError(str(error)) from error


@contextmanager
def ending_with_message() -> Iterator[None]:
    """As `without_trace`, where Hydra is not there yet to print the message: the process ends with it."""
    try:
        yield
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        sys.stderr.write(f"{error}\n\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n")
        raise SystemExit(1) from error


@contextmanager
def named(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors name a setting as the command line does: an argument ``ratio`` becomes ``noise.ratio``.

    Args:
        names: Argument -> name of the setting.
    """
    try:
        yield
    except ArgumentError as error:
        renamed = _renamed(error, names)
        if str(renamed) == str(error):
            raise
        raise renamed from error


def _renamed(error: ArgumentError, names: Mapping[str, str]) -> ArgumentError:
    """The error under the names, with those of other arguments that it speaks of: "pass `root`" is `data.root`."""

    def told(text: str) -> str:
        return re.sub(r"`(\w+)`", lambda found: f"`{names.get(found[1], found[1])}`", text)

    return type(error)(
        names.get(error.argument, error.argument),
        rule=told(error.rule),
        got=told(error.got),
        way_out=told(error.way_out),
    )


def names_in(group: str, schema: Any) -> dict[str, str]:
    """The ``names`` of a config group: field -> ``group.field``."""
    return {field.name: f"{group}.{field.name}" for field in fields(schema)}
