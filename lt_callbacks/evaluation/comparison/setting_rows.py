from __future__ import annotations

from dataclasses import dataclass

from lt_callbacks.evaluation.comparison.comparison import Comparison, SettingResults
from lt_callbacks.evaluation.comparison.summary import TableRow, summarise


@dataclass(frozen=True, kw_only=True)
class SettingRows:
    """The rows of a table at one setting.

    Attributes:
        setting: What the rows sum up.
        rows: One a method, as `summarise` makes them.
    """

    setting: SettingResults
    rows: tuple[TableRow, ...]

    def of(self, method: str) -> TableRow | None:
        """The row of a method; ``None`` where it was not run here."""
        return next((row for row in self.rows if row.method == method), None)


def summarise_settings(comparison: Comparison, *, reference: str | None) -> tuple[SettingRows, ...]:
    """The rows of every setting of a comparison: made once, and shown by all of its tables.

    Args:
        comparison: Pooled results.
        reference: Method that the others are compared with at each setting where it was run, or ``None``.
    """
    return tuple(
        SettingRows(
            setting=setting,
            rows=tuple(summarise(setting.results, reference=reference if setting.of(reference or "") else None)),
        )
        for setting in comparison.settings
    )
