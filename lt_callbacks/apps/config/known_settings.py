from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any, get_type_hints

from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentValueError

# An override of a value: perhaps a sign, dotted names, and what comes after; no option, and no group with a slash.
_OVERRIDE = re.compile(r"(?P<sign>\+\+|\+|~)?(?P<path>\w+(\.\w+)+)(=.*)?", re.DOTALL)


def refuse_unknown_settings(arguments: Sequence[str], schema: type[Any]) -> None:
    """Refuse a misspelt setting by the nearest known one, before Hydra sees it.

    Hydra would advise to add it with ``+``, which helps nobody: nothing reads a setting that the schema does not know.

    Args:
        arguments: As typed, without the name of the command.
        schema: Dataclass of all settings.

    Raises:
        ValueError: A setting is unknown, or is to be removed.
    """
    for argument in arguments:
        override = _OVERRIDE.fullmatch(argument)
        if override is not None:
            _check(override["path"], schema, is_removal=override["sign"] == "~")


def _check(path: str, schema: type[Any], *, is_removal: bool) -> None:
    first, *rest = path.split(".")
    settings = get_type_hints(schema)
    one_of("settings", first, [*settings, "hydra"])
    node, name = settings.get(first), first
    for part in rest:
        # Hydra's own settings, and dictionaries, may hold anything.
        if not is_dataclass(node):
            return
        known = get_type_hints(node)
        one_of(f"settings of {name}", part, known)
        node, name = known[part], f"{name}.{part}"
    if is_removal and not is_dataclass(node):
        raise ArgumentValueError(
            path,
            rule="have a value",
            got=f"~{path}",
            way_out=f"Set it, for example to its default, or leave ~{path} out.",
        )
