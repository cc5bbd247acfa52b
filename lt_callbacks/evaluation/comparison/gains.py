from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lt_callbacks.evaluation.comparison.statistics import PairedDifference, mean, paired_difference
from lt_callbacks.evaluation.records.method_result import MethodResult


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How much better a method is than the best of some others at one setting.

    Attributes:
        difference: Of the accuracies on common seeds, in percentage points.
        reference: The method that it was compared with.
    """

    difference: PairedDifference
    reference: str


def gain_over(results: Sequence[MethodResult], *, method: str, references: Sequence[str]) -> Gain | None:
    """``method`` minus the reference with the highest mean accuracy, over the seeds that both have.

    The reference is chosen on the test results that the gain is measured on. That favours the reference.

    Args:
        results: Those at one setting.
        method: Name of a method.
        references: Names of others; those that were not run here do not count.

    Returns:
        ``None`` where no seed is common with any reference.
    """
    accuracy: dict[str, dict[int, float]] = {}
    for result in results:
        accuracy.setdefault(result.method, {})[result.seed] = result.accuracy
    ours = accuracy.pop(method, {})
    rivals = {name: theirs for name in references if (theirs := accuracy.get(name, {})).keys() & ours.keys()}
    if not rivals:
        return None
    # on the same seeds, where there are such: another seed is another data set
    common = set(ours).intersection(*rivals.values())
    means = {
        name: mean(theirs[seed] for seed in sorted(common or ours.keys() & theirs.keys()))
        for name, theirs in rivals.items()
    }
    best = max(means, key=means.__getitem__)
    return Gain(difference=paired_difference(ours, rivals[best]), reference=best)
