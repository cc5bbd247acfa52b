"""Errors that are raised on purpose: their messages are for the person who made the mistake. Standard library only."""

from __future__ import annotations

from typing import Any, TypeVar

ErrorT = TypeVar("ErrorT", bound="ArgumentError")


class UserError(Exception):
    """An error whose message is for the person at the keyboard; anything else that is raised is a bug of ours."""


class ArgumentError(UserError):
    """An argument, setting or file that breaks a rule, with the parts of its message as fields.

    The message is "`ARGUMENT` must RULE; got GOT. WAY_OUT". Raise one of its kinds, which are also the built-in
    exceptions that callers expect: `ArgumentValueError`, `ArgumentTypeError`, `ArgumentFileError`,
    `ArgumentPermissionError`, `ArgumentImportError`.

    Args:
        argument: Its name, without backticks; a command shows it under the name of the setting.
        rule: What it must do or be, to be read after "must": "be one of 'a', 'b'".
        got: What was received instead, as text.
        way_out: What to do, as whole sentences; empty where the rule says it all.
    """

    def __init__(self, argument: str, *, rule: str, got: str, way_out: str = "") -> None:
        super().__init__(f"`{argument}` must {rule}; got {got}. {way_out}".rstrip())
        self.argument, self.rule, self.got, self.way_out = argument, rule, got, way_out

    def renamed(self: ErrorT, argument: str) -> ErrorT:
        """The same error of an argument with another name, as a command calls its setting."""
        return type(self)(argument, rule=self.rule, got=self.got, way_out=self.way_out)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes, where the default would call the constructor with the message."""
        return _again, (type(self), self.argument, self.rule, self.got, self.way_out)


class ArgumentValueError(ArgumentError, ValueError):
    """A value that is out of range, unknown, or does not fit to another argument."""


class ArgumentTypeError(ArgumentError, TypeError):
    """A value of a type that is not taken."""


class ArgumentFileError(ArgumentError, FileNotFoundError):
    """A path at which there is nothing."""

    # The built-in class makes its text from an error number.
    __str__ = Exception.__str__


class ArgumentPermissionError(ArgumentError, PermissionError):
    """A path that may not be read or written."""

    # As above.
    __str__ = Exception.__str__


class ArgumentImportError(ArgumentError, ImportError):
    """A choice that needs a package that is not installed."""


class StateError(UserError, RuntimeError):
    """Something that went wrong in a run, or a call at the wrong time."""


class DataError(UserError, ValueError):
    """Content that cannot be what it claims to be: a damaged file, numbers that are not finite."""


def _again(kind: type[ArgumentError], argument: str, rule: str, got: str, way_out: str) -> ArgumentError:
    return kind(argument, rule=rule, got=got, way_out=way_out)
