"""How reports write numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lt_callbacks.evaluation.comparison.statistics import PairedDifference

if TYPE_CHECKING:
    from lt_callbacks.evaluation.comparison.summary import Spread

NOTHING = "–"


def signed(value: float) -> str:
    """A number with one decimal and its sign; the minus is as wide as the plus."""
    return f"{value:+.1f}".replace("-", "−")


def spread(found: Spread | None) -> str:
    """Mean and standard deviation, such as ``75.8 ± 2.8``; the mean alone for a single seed."""
    if found is None:
        return NOTHING
    return f"{found.mean:.1f}" if found.sd is None else f"{found.mean:.1f} ± {found.sd:.1f}"


def difference(found: PairedDifference, *, num_seeds: int) -> str:
    """A paired difference, such as ``+2.3 [+0.4, +4.2]``; without an interval for a single pair.

    Of fewer pairs than ``num_seeds`` it says how many: a row's mean and its difference then rest on different runs.
    """
    text = signed(found.mean)
    if found.interval is not None:
        low, high = found.interval
        text += f" [{signed(low)}, {signed(high)}]"
    return text if found.num_pairs == num_seeds else f"{text} (n = {found.num_pairs})"


def counted(number: int, word: str) -> str:
    """A number with its noun, such as ``1 seed`` or ``3 seeds``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def duration(seconds: float | None) -> str:
    """Seconds as people write them: ``0.4 s``, ``12 s``, ``3 min 05 s`` or ``2 h 07 min``; a dash for ``None``."""
    if seconds is None:
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
