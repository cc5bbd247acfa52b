from __future__ import annotations

import numpy as np

from lt_callbacks.corruption import hashed_uniform


def held_out(labels: np.ndarray, identities: np.ndarray, *, fraction: float, seed: int, purpose: str) -> np.ndarray:
    """Positions of a share of every class that is held out: the samples with the smallest hashed numbers.

    Each class gives its share rounded down; what is missing to the share of all comes from the classes that rounding
    took most from. A class always keeps at least one sample.

    Args:
        labels: (N,) int64 >= 0.
        identities: (N,) int64, distinct; what the numbers are hashed from.
        fraction: Share held out, in [0, 1).
        seed: Of the split.
        purpose: What the split is for; other purposes hold out other samples.

    Returns:
        Ascending positions, int64. Fewer than the share where classes have too few samples to give one.
    """
    counts = np.bincount(labels)
    # rounded, so that a share that is whole in exact arithmetic is whole
    shares = np.round(fraction * counts, 9)
    quotas = np.minimum(np.floor(shares).astype(np.int64), np.maximum(counts - 1, 0))
    lost_by_rounding = shares - quotas
    can_give = (counts - 1 > quotas) & (lost_by_rounding > 0)
    givers = [label for label in np.argsort(-lost_by_rounding, kind="stable") if can_give[label]]
    missing = round(float(fraction * len(labels))) - int(quotas.sum())
    quotas[givers[: max(missing, 0)]] += 1

    uniforms = hashed_uniform(identities, seed=seed, purpose=purpose)
    by_class = np.lexsort((uniforms, labels))
    first_of_class = np.cumsum(counts) - counts
    rank_in_class = np.arange(len(labels)) - first_of_class[labels[by_class]]
    return np.sort(by_class[rank_in_class < quotas[labels[by_class]]])
