"""What a run says of the results and the store that it goes on from, before it trains anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lt_callbacks.evaluation.comparison.number_text import counted


def about_finished(todo: Mapping[int, Sequence[str]], *, methods: Sequence[str], document: Path) -> list[str]:
    """A sentence about the rows that a document has already; none where it has none.

    Args:
        todo: Seed -> methods that are still to be run.
        methods: All methods of the run.
        document: Path of the results.
    """
    total = len(methods) * len(todo)
    finished = total - sum(map(len, todo.values()))
    if not finished:
        return []
    rest = "" if finished < total else "; nothing is left to run"
    whole = [str(seed) for seed, left in todo.items() if not left]
    parts = [f"all of seed{'s' if len(whole) > 1 else ''} {', '.join(whole)}"] if whole and not rest else []
    parts += [
        f"seed {seed}: {', '.join(method for method in methods if method not in left)}"
        for seed, left in todo.items()
        if left and len(left) < len(methods)
    ]
    which = f" ({'; '.join(parts)})" if parts else ""
    return [f"{finished} of {counted(total, 'result')} (methods times seeds) are reused from {document}{which}{rest}."]


def about_store(store: str, *, what: str) -> str:
    """A sentence that names the store, for the lines that say ``reused from the store``.

    Args:
        store: The folder, as the settings name it.
        what: Is kept there.
    """
    return f"Store of {what}: {Path(store).expanduser()}. What it has already is reused."
