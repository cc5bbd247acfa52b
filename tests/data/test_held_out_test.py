from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from lt_callbacks.corruption import Noise
from lt_callbacks.data import ImageSet, LongTailedDataModule, Source, hold_out_test


def source_of(counts: list[int], *, test: ImageSet | None = None, **changes: bool) -> Source:
    labels = np.repeat(np.arange(len(counts)), counts)
    # Each image holds its own position, so that none can be taken for another.
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return Source(
        name="mine",
        train=ImageSet(images=images, labels=labels),
        test=test,
        class_names=tuple("abcdefghijklmnop"[: len(counts)]),
        mean=(0.5,),
        std=(0.5,),
        **changes,
    )


def positions(part: ImageSet) -> list[int]:
    return part.images[:, 0, 0, 0].tolist()


def test_every_class_gives_its_share_and_keeps_its_labels():
    source = source_of([50, 20, 10])
    made = hold_out_test(source, fraction=0.2)
    assert np.bincount(made.test.labels).tolist() == [10, 4, 2]
    assert sorted(positions(made.train) + positions(made.test)) == list(range(80))
    for part in (made.train, made.test):
        assert part.labels.tolist() == source.train.labels[positions(part)].tolist()


def test_the_same_samples_are_held_out_each_time():
    assert positions(hold_out_test(source_of([30, 9])).test) == positions(hold_out_test(source_of([30, 9])).test)


def test_other_samples_are_held_out_than_for_a_validation():
    source = source_of([120, 120])
    data = LongTailedDataModule(source=source, validation_fraction=0.2, seed=0)
    validation = set(data.manifest.indices[data.val_indices].tolist())
    test = set(positions(hold_out_test(source, fraction=0.2).test))
    assert len(validation) == len(test) == 48
    # Of independent draws a fifth is common.
    assert len(validation & test) < 24


@pytest.mark.parametrize(("num_silent", "end"), [(10, r"'k' \(1\)\."), (13, r"'k' \(1\) and 3 more\.")])
def test_of_many_classes_that_are_not_scored_ten_are_named(num_silent, end):
    with pytest.warns(UserWarning, match=rf"not scored: 'b' \(1\), .*{end} Give"):
        hold_out_test(source_of([30, *[1] * num_silent]))


def test_a_class_of_one_sample_stays_in_training_and_is_named():
    with pytest.warns(UserWarning, match=r"not scored: 'b' \(1\)\. Give a test set of your own"):
        made = hold_out_test(source_of([30, 1, 10]))
    assert np.bincount(made.train.labels).tolist() == [24, 1, 8]
    assert 1 not in made.test.labels


def test_nothing_is_said_where_every_class_is_scored():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hold_out_test(source_of([30, 10]))


def test_data_with_a_test_set_are_refused():
    with pytest.raises(
        ValueError, match=r"`fraction` must be left out for data with a test set .*; got 0\.3 for 'mine'"
    ):
        hold_out_test(source_of([5, 5], test=source_of([2, 2]).train), fraction=0.3)


def test_data_too_small_to_give_a_sample_are_refused():
    with pytest.raises(ValueError, match=r"`fraction` must leave a test sample; got 0\.2 of 2 samples in 2 classes"):
        hold_out_test(source_of([1, 1]))


@pytest.mark.parametrize("fraction", [0.0, 0.91, -0.1])
def test_shares_out_of_range_are_refused(fraction):
    with pytest.raises(ValueError, match="`fraction` must be"):
        hold_out_test(source_of([30, 10]), fraction=fraction)


@pytest.mark.parametrize(
    ("labels_are_true", "expected"),
    [(False, "held-out training samples by their given labels"), (True, "the test set")],
)
def test_the_source_says_what_it_is_scored_on(labels_are_true, expected):
    assert hold_out_test(source_of([30, 10], labels_are_true=labels_are_true)).scored_on == expected


def test_a_test_set_of_ones_own_is_one():
    assert source_of([5, 5], test=source_of([2, 2]).train, labels_are_true=False).scored_on == "the test set"


def test_a_datamodule_of_unknown_truth_claims_none():
    data = LongTailedDataModule(source=source_of([30, 10], labels_are_true=False))
    assert data.true_labels is None
    assert data.true_class_counts is None
    assert data.shot_class_counts.tolist() == data.class_counts.tolist()
    assert data.manifest.num_changed == 0


def test_a_label_file_for_all_samples_is_refused_where_some_are_held_out(tmp_path):
    """Its rows are those of the whole data: they would be given to other samples."""
    np.save(tmp_path / "given.npy", np.zeros(40, dtype=np.int64))
    with pytest.raises(
        ValueError, match=r"`given_labels_file` must be left out where the test set is held out .*given"
    ):
        LongTailedDataModule(
            source=hold_out_test(source_of([30, 10])),
            noise=Noise(kind="human", given_labels_file=tmp_path / "given.npy"),
        )
