from __future__ import annotations

from dataclasses import replace

import pytest

from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.label_facts import label_facts, label_facts_of_seed, what_was_done
from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import LongTailedDataModule, digits, hold_out_test


@pytest.fixture(scope="module")
def source():
    return digits()


def own(source):
    return hold_out_test(replace(source, test=None, labels_are_true=False))


def test_of_ones_own_labels_nothing_is_claimed(source):
    mine = own(source)
    said = label_facts(LongTailedDataModule(source=mine))
    assert said == (
        f"digits: {len(mine.train):,} training samples in 10 classes (96 of them held out for validation), labels as given, nobody knows which of them are "
        f"wrong. Scored on held-out training samples by their given labels ({len(mine.test):,} samples)."
    )


def test_what_was_asked_for_is_counted(source):
    data = LongTailedDataModule(
        source=own(source), imbalance=Imbalance(factor=20), noise=Noise(kind="symmetric", ratio=0.4)
    )
    num_dropped = len(data.source.train) - data.num_samples
    assert num_dropped > 500
    assert 0.3 < data.manifest.num_changed / data.num_samples < 0.5
    share = data.manifest.num_changed / data.num_samples
    assert what_was_done(data) == (
        f"{data.num_samples} training samples in 10 classes ({len(data.val_indices)} of them held out for validation), "
        f"{num_dropped} of {len(data.source.train):,} samples dropped as asked for, {data.manifest.num_changed} labels "
        f"({share:.0%}) changed as asked for, nobody knows which were wrong before"
    )


def test_of_a_benchmark_nothing_is_in_doubt(source):
    said = label_facts(LongTailedDataModule(source=source))
    assert (
        said
        == "digits: 1,198 training samples in 10 classes (120 of them held out for validation), no label changed. Scored on the test set (599 samples)."
    )


@pytest.mark.parametrize(
    ("settings", "starts"),
    [
        ({"num_seeds": 1}, ["digits: ", "digits: "]),
        ({"num_seeds": 2}, ["seed 0: digits: ", "seed 1: digits: "]),
        ({"num_seeds": 2, "corruption_seed": 7}, ["digits: ", None]),
        ({"num_seeds": 2, "manifest": "m.json"}, ["digits: ", None]),
    ],
)
@pytest.mark.parametrize("first", [0, 3])
def test_seeds_with_the_same_labels_say_it_once(source, settings, starts, first):
    config = TrainConfig(seed=first, **settings)
    said = [label_facts_of_seed(config, LongTailedDataModule(source=source, seed=first + k)) for k in (0, 1)]
    starts = [
        start and start.replace("seed 0", f"seed {first}").replace("seed 1", f"seed {first + 1}") for start in starts
    ]
    for text, start in zip(said, starts, strict=True):
        assert text is None if start is None else text.startswith(start + "1,198 training samples")
