"""The tables of each kind of bench document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lt_callbacks.bench import solver_tables, training_tables
from lt_callbacks.bench.table import Table, markdown

_MAKERS: dict[str, Callable[[Mapping[str, Any]], list[Table]]] = {
    "transport": solver_tables.transport_tables,
    "scaling": solver_tables.scaling_tables,
    "step": training_tables.step_tables,
    "training": training_tables.training_tables,
    "adsa": training_tables.adsa_tables,
    "loss": training_tables.loss_tables,
}


def tables_of(content: Mapping[str, Any]) -> list[Table]:
    """The tables of a document, in the order in which they are shown."""
    return _MAKERS[content["kind"]](content)


def markdown_tables(content: Mapping[str, Any], *, only: Sequence[str] = ()) -> str:
    """Tables of a document for a page, each below its title.

    Args:
        content: The document.
        only: Tables whose titles begin with one of these; none: all.
    """
    chosen = [table for table in tables_of(content) if not only or table.title.startswith(tuple(only))]
    return "\n\n".join(f"**{table.title}**\n\n{markdown(table)}" for table in chosen)
