"""A small data set made long-tailed and noisy, for the tests of data modules."""

from __future__ import annotations

from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import LongTailedDataModule, Source

CORRUPTION = {"imbalance": Imbalance(factor=4), "noise": Noise(kind="symmetric", ratio=0.3)}


def corrupted(source: Source, **changes: object) -> LongTailedDataModule:
    return LongTailedDataModule(source=source, **{**CORRUPTION, "batch_size": 32, "num_workers": 0, **changes})
