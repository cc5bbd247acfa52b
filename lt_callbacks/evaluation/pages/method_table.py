"""The rows of one setting as a table, one line a method: headings, cells and the note below them."""

from __future__ import annotations

from collections.abc import Sequence

from lt_callbacks.evaluation.comparison import number_text
from lt_callbacks.evaluation.comparison.statistics import PairedDifference
from lt_callbacks.evaluation.comparison.summary import Spread, TableRow
from lt_callbacks.evaluation.pages.report_blocks import Table, TableCell

_HEADINGS = {
    "accuracy": "All",
    "many": "Many",
    "medium": "Medium",
    "few": "Few",
    "wrong_labels_fitted": "Wrong labels fitted",
}
GROUPS_NOTE = "Many, Medium, Few: thirds of the classes by their number of training samples."
WRONG_LABELS_NOTE = (
    "Wrong labels fitted: percent of the wrongly labelled training samples predicted as their given label."
)
BEST_NOTE = "Bold: the paired 95 % interval against every other method lies above 0."


def method_table(rows: Sequence[TableRow]) -> Table:
    """The rows as a block of a report; the writers of Markdown and of the terminal's table begin with it."""
    shares = shown_shares(rows)
    reference = reference_of(rows)
    return Table(
        headings=table_headings(shares, reference=reference),
        groups=[("", [row_cells(row, shares=shares, is_compared=reference is not None) for row in rows])],
        numbers=frozenset(range(1, 2 + len(shares) + (reference is not None))),
        note=table_note(rows),
    )


def table_note(rows: Sequence[TableRow]) -> str:
    """What the numbers in the table are, in a few sentences; only what applies to these rows."""
    bases = " or ".join(dict.fromkeys(row.scored_on for row in rows))
    sentences = [f"Percent of {bases} after the last epoch, mean ± sd over seeds."]
    if any(row.shares[name] for row in rows for name in ("many", "medium", "few")):
        sentences.append(GROUPS_NOTE)
    if any(row.shares["wrong_labels_fitted"] for row in rows):
        sentences.append(WRONG_LABELS_NOTE)
    reference = reference_of(rows)
    if reference is not None:
        sentences.append(
            f"Difference to {reference}: percentage points of All, paired by seed, with 95 % Student-t interval."
        )
    if any(row.best for row in rows):
        sentences.append(BEST_NOTE)
    return " ".join(sentences)


def shown_shares(rows: Sequence[TableRow]) -> list[str]:
    """Names of the shares that any row has, in the order of their columns."""
    return [name for name in _HEADINGS if any(row.shares[name] for row in rows)]


def reference_of(rows: Sequence[TableRow]) -> str | None:
    """The method that the others are compared with; ``None`` where none is."""
    return next((row.method for row in rows if row.is_reference), None)


def table_headings(shares: Sequence[str], *, reference: str | None) -> tuple[str, ...]:
    """Headings of the cells of `row_cells`, with a last one for the difference where there is a reference."""
    headings = ("Method", "Seeds", *(_HEADINGS[name] for name in shares))
    return headings if reference is None else (*headings, f"Difference to {reference}")


def row_cells(row: TableRow, *, shares: Sequence[str], is_compared: bool) -> list[TableCell]:
    """One line of the table: method, number of seeds, shares, and the difference to the reference if asked for."""
    cells = [TableCell(text=row.method), TableCell(text=str(row.num_seeds), sort=row.num_seeds)]
    cells += [share_cell(row.shares[name], is_best=name in row.best) for name in shares]
    if is_compared:
        cells.append(difference_cell(row.difference, num_seeds=row.num_seeds, is_reference=row.is_reference))
    return cells


def share_cell(found: Spread | None, *, is_best: bool) -> TableCell:
    """Mean and standard deviation of a share; a dash where there is none."""
    if found is None:
        return TableCell(text=number_text.NOTHING)
    return TableCell(text=number_text.spread(found), sort=found.mean, is_best=is_best)


def difference_cell(found: PairedDifference | None, *, num_seeds: int, is_reference: bool = False) -> TableCell:
    """A paired difference with its interval, coloured by the side of 0 that the interval lies on."""
    if found is None:
        return TableCell(text="reference" if is_reference else number_text.NOTHING)
    tone = "good" if found.is_above_zero else "bad" if found.is_below_zero else ""
    return TableCell(text=number_text.difference(found, num_seeds=num_seeds), sort=found.mean, tone=tone)
