from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lt_callbacks import _checks
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """How much better one method is than another on the same seeds.

    Attributes:
        mean: Mean of the differences, in the unit of the values.
        sd: Their sample standard deviation (n - 1); ``None`` for a single pair.
        interval: Student-t interval of the mean difference; ``None`` for a single pair.
        num_pairs: Seeds that both methods have.
        confidence: Coverage of the interval, 0.95 by default.
    """

    mean: float
    sd: float | None
    interval: tuple[float, float] | None
    num_pairs: int
    confidence: float = 0.95

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval lies above 0; never with a single pair."""
        return self.interval is not None and self.interval[0] > 0

    @property
    def is_below_zero(self) -> bool:
        """Whether the whole interval lies below 0; never with a single pair."""
        return self.interval is not None and self.interval[1] < 0


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean of finite numbers.

    A NaN is an error and not skipped: a run that diverged must not leave the average silently.

    Raises:
        TypeError: ``values`` are no numbers.
        ValueError: ``values`` is empty or holds a value that is not finite.
    """
    numbers = _finite("values", values)
    try:
        return math.fsum(numbers) / len(numbers)
    except OverflowError:
        # The sum of finite numbers need not be a float; their mean is.
        return math.fsum(number / len(numbers) for number in numbers)


def sd(values: Iterable[float]) -> float | None:
    """Sample standard deviation with n - 1 in the denominator; ``None`` for a single value, which has none.

    Raises:
        ValueError: ``values`` is empty or holds a value that is not finite.
    """
    numbers = _finite("values", values)
    if len(numbers) == 1:
        return None
    centre = mean(numbers)
    deviations = [number - centre for number in numbers]
    try:
        return math.sqrt(math.fsum(deviation**2 for deviation in deviations) / (len(numbers) - 1))
    except OverflowError as error:
        raise ArgumentValueError(
            "values",
            rule="be close enough for their squared differences to be floats",
            got=f"{min(numbers):g} to {max(numbers):g}",
            way_out="Give them in a larger unit.",
        ) from error


def paired_difference(
    values: Mapping[int, float], reference: Mapping[int, float], *, confidence: float = 0.95
) -> PairedDifference:
    """``values`` minus ``reference`` over their common seeds, with a Student-t interval.

    Methods that share a seed share data, noise and initialisation, so most of the spread between seeds cancels.

    Args:
        values: Seed -> value of the method.
        reference: Seed -> value of the method compared with. Seeds that only one of the two has are left out.
        confidence: Coverage of the interval, in (0, 1).

    Raises:
        TypeError: ``values`` or ``reference`` does not map seeds to numbers.
        ValueError: No common seed, or a value that is not finite.
    """
    for name, given in (("values", values), ("reference", reference)):
        if not isinstance(given, Mapping):
            way_out = "Pass {0: 71.5, 1: 72.3}, a value for each seed."
            raise ArgumentTypeError(name, rule="map seeds to numbers", got=type(given).__name__, way_out=way_out)
    confidence = _checks.real("confidence", confidence, above=0, below=1)
    seeds = sorted(values.keys() & reference.keys())
    if not seeds:
        raise ArgumentValueError(
            "values",
            rule=f"share at least one seed with `reference`, which has {list(reference)}",
            got=str(list(values)),
            way_out="Run both methods with the same seeds.",
        )
    theirs = _finite("reference", (reference[seed] for seed in seeds))
    ours = _finite("values", (values[seed] for seed in seeds))
    differences = [one - other for one, other in zip(ours, theirs, strict=True)]
    centre, spread = mean(differences), sd(differences)
    interval = None
    if spread is not None:
        half_width = _student_t(confidence, len(seeds) - 1) * spread / math.sqrt(len(seeds))
        interval = (centre - half_width, centre + half_width)
    return PairedDifference(mean=centre, sd=spread, interval=interval, num_pairs=len(seeds), confidence=confidence)


def _student_t(confidence: float, degrees_of_freedom: int) -> float:
    from scipy.special import stdtrit  # a tenth of the import time of scipy.stats

    return float(stdtrit(degrees_of_freedom, (1 + confidence) / 2))


def _as_floats(name: str, values: Iterable[float]) -> list[float]:
    # A mapping would give its keys, a text its digits.
    if not isinstance(values, (Mapping, str, bytes)):
        try:
            numbers = list(values)
            if not any(isinstance(number, (str, bytes)) for number in numbers):
                return [float(number) for number in numbers]
        except (TypeError, ValueError, RuntimeError, OverflowError):
            pass
    way_out = "Pass `values.values()` of a mapping." if isinstance(values, Mapping) else ""
    raise ArgumentTypeError(name, rule="be numbers, one after the other", got=type(values).__name__, way_out=way_out)


def _finite(name: str, values: Iterable[float]) -> list[float]:
    numbers = _as_floats(name, values)
    if not numbers:
        raise ArgumentValueError(name, rule="hold at least one number", got="none")
    for position, number in enumerate(numbers):
        if not math.isfinite(number):
            raise ArgumentValueError(
                name,
                rule="be finite",
                got=f"{number} at position {position}",
                way_out="Find out why the run failed, or leave its seed out for all methods.",
            )
    return numbers
