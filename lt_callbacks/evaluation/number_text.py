"""How reports write numbers."""

from __future__ import annotations

from lt_callbacks.evaluation.statistics import PairedDifference

NOTHING = "–"


def signed(value: float) -> str:
    """One decimal with its sign; a minus as wide as the plus."""
    return f"{value:+.1f}".replace("-", "−")


def difference(found: PairedDifference | None) -> str:
    """Such as ``+2.3 [+0.4, +4.2]``; without an interval for a single pair."""
    if found is None:
        return NOTHING
    if found.interval is None:
        return signed(found.mean)
    low, high = found.interval
    return f"{signed(found.mean)} [{signed(low)}, {signed(high)}]"


def duration(seconds: float | None) -> str:
    """Such as ``0.4 s``, ``12 s``, ``3 min 05 s`` or ``2 h 07 min``."""
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
