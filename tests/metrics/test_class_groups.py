from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.metrics import class_groups


def lists(groups):
    return {name: members.tolist() for name, members in groups.items()}


def test_thirds_go_by_count_not_by_number():
    groups = class_groups([5, 900, 40, 7, 300, 41])
    assert lists(groups) == {"many": [1, 4], "medium": [2, 5], "few": [0, 3]}
    assert list(groups) == ["many", "medium", "few"]
    assert groups["many"].dtype == torch.int64


@pytest.mark.parametrize(
    ("num_classes", "sizes"),
    [(3, (1, 1, 1)), (4, (1, 2, 1)), (5, (2, 1, 2)), (10, (3, 4, 3)), (100, (33, 34, 33)), (365, (122, 121, 122))],
)
def test_many_and_few_are_equal_and_medium_takes_the_rest(num_classes, sizes):
    groups = class_groups(np.arange(num_classes, 0, -1))
    assert tuple(len(members) for members in groups.values()) == sizes
    assert torch.equal(torch.cat(list(groups.values())), torch.arange(num_classes))


def test_ties_keep_the_order_of_class_numbers():
    assert lists(class_groups(torch.full((6,), 8))) == {"many": [0, 1], "medium": [2, 3], "few": [4, 5]}
    assert lists(class_groups([8, 9, 8, 8, 9, 8])) == {"many": [1, 4], "medium": [0, 2], "few": [3, 5]}


def test_an_empty_group_has_no_key():
    assert lists(class_groups([3, 9])) == {"many": [1], "few": [0]}
    assert lists(class_groups([3])) == {"medium": [0]}
    assert lists(class_groups([500, 101], thresholds=(20, 100))) == {"many": [0, 1]}


def test_thresholds_of_imagenet_lt():
    groups = class_groups([101, 100, 20, 19, 0, 1280], thresholds=(20, 100))
    assert lists(groups) == {"many": [0, 5], "medium": [1, 2], "few": [3, 4]}


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([], r"`class_counts` must have shape \(C,\); got \(0,\). Pass the number of training samples"),
        ([[1, 2]], r"`class_counts` must have shape \(C,\); got \(1, 2\)"),
        ([4, -1], "`class_counts` must be finite and >= 0; got -1.0 for class 1. Pass the number"),
        ([float("nan"), 1], "`class_counts` must be finite and >= 0; got nan for class 0"),
    ],
)
def test_wrong_counts_are_refused(counts, message):
    with pytest.raises(ValueError, match=message):
        class_groups(counts)


@pytest.mark.parametrize("thresholds", [(100, 20), (20,), (1, 2, 3), 20, (-1, 3), ("a", 3), (float("nan"), 3)])
def test_wrong_thresholds_are_refused(thresholds):
    with pytest.raises(
        ValueError, match=r"`thresholds` must be two numbers of samples, .* Pass \(20, 100\) for ImageN"
    ):
        class_groups([3, 2, 1], thresholds=thresholds)


@pytest.mark.parametrize(
    "counts", [torch.tensor([100, 120, 90], dtype=torch.int8), np.array([200, 255, 3], np.uint8), [10**18, 3, 2**62]]
)
def test_counts_of_any_type_are_compared_as_numbers(counts):
    groups = class_groups(counts)
    expected = sorted(range(3), key=lambda label: -int(counts[label]))
    assert [int(groups[name]) for name in ("many", "medium", "few")] == expected


@pytest.mark.parametrize("given", ["many", None, [[1, 2], [3]], ["5", "3"], {0: 5}, [1j, 2], object()])
def test_what_is_no_number_is_refused_by_name(given):
    with pytest.raises(
        TypeError, match=r"^`class_counts` must be \(C,\) real numbers; got \S+\. Pass the number of tra"
    ):
        class_groups(given)
