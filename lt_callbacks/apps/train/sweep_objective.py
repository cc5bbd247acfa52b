from __future__ import annotations

from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.train.rows import title
from lt_callbacks.evaluation import MethodResult, mean


def objective_value(config: TrainConfig, results: list[MethodResult]) -> float | None:
    """What a sweeper may choose settings by: held-out accuracy of the last method, in percent, mean over the seeds.

    The held-out share is part of the corrupted training set, with its wrong labels; nothing is chosen on the test set.

    Returns:
        None where nothing is held out, or the last method has no training of its own.
    """
    chosen = title(config.methods[-1], config)
    values = [result.extra.get("val_accuracy") for result in results if result.method == chosen]
    known = [float(value) for value in values if value is not None]
    return mean(known) if known and len(known) == len(values) else None
