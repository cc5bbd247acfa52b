from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from inputs import float_tensors, labels, mostly, odd_numbers, seeds
from outcomes import REFUSED, outcome

from lt_callbacks import ShotAccuracy
from lt_callbacks.metrics import class_groups


@given(
    counts=mostly(
        st.lists(st.one_of(st.integers(0, 10**6), st.floats(0, 1e300)), min_size=1, max_size=20),
        st.sampled_from([np.array([200, 3], np.uint8), np.array([127, 100], np.int8), [2**70, 1]]),
        st.lists(odd_numbers, max_size=4),
    ),
    thresholds=mostly(st.none(), st.tuples(st.floats(0, 100), st.floats(0, 100)).map(sorted)),
)
def test_every_class_is_in_one_group_and_larger_classes_in_larger_ones(counts, thresholds):
    groups = outcome(class_groups, counts, thresholds=thresholds)
    if groups is REFUSED:
        return
    values = torch.as_tensor(counts).double()
    assert sorted(torch.cat(list(groups.values())).tolist()) == list(range(len(values)))
    ranges = [values[members] for members in groups.values()]
    for larger, smaller in zip(ranges, ranges[1:], strict=False):
        assert float(larger.min()) >= float(smaller.max())


@st.composite
def scored(draw):
    num_classes, size = draw(st.integers(2, 8)), draw(st.integers(1, 40))
    counts = draw(st.lists(st.integers(0, 1000), min_size=num_classes, max_size=num_classes))
    target = draw(labels(size, num_classes))
    is_logits = draw(st.booleans())
    shape = (size, num_classes)
    preds = draw(float_tensors(shape, specials=(float("nan"),))) if is_logits else draw(labels(size, num_classes))
    return counts, preds, target


@given(problem=scored(), cut=st.integers(0, 40), seed=seeds)
def test_accuracies_are_those_of_a_plain_count_however_the_samples_come(problem, cut, seed):
    counts, preds, target = problem
    predicted = preds.float().argmax(dim=1) if preds.ndim == 2 else preds.long()
    if preds.ndim == 2:
        predicted[preds.isnan().any(dim=1)] = -1
    right = [int(one) == int(other) for one, other in zip(predicted, target, strict=True)]
    by_class = {}
    for label, is_right in zip(target.tolist(), right, strict=True):
        by_class.setdefault(label, []).append(is_right)
    whole, parts, copies = (ShotAccuracy(class_counts=counts) for _ in range(3))
    whole.update(preds, target)
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(seed))
    for part in (order[:cut], order[cut:]):
        parts.update(preds[part], target[part])
        copies.update(preds[part], target[part], index=part)
        copies.update(preds[part], target[part], index=part)
    for found in (metric.compute() for metric in (whole, parts, copies)):
        assert float(found["all"]) == pytest.approx(sum(right) / len(right))
        for name, members in whole.groups.items():
            seen = [np.mean(by_class[label]) for label in members.tolist() if label in by_class]
            assert (name in found) == bool(seen)
            if seen:
                assert float(found[name]) == pytest.approx(np.mean(seen))


@given(
    preds=mostly(st.just(torch.zeros(3, 3))),
    target=mostly(st.lists(st.integers(-101, 3), min_size=3, max_size=3).map(torch.tensor)),
    index=mostly(st.none()),
)
def test_any_update_counts_or_is_named(preds, target, index):
    metric = ShotAccuracy(class_counts=[3, 2, 1])
    found = outcome(metric.update, preds, target, index)
    if found is REFUSED:
        assert int(metric.total.sum()) == 0
        metric.update(torch.zeros(3, 3), torch.tensor([0, 1, 2]))
    elif len(target):
        assert bool(((target >= 0) & (target < 3)).all())
    shown = float(metric.compute()["all"])
    assert 0 <= shown <= 1 or (math.isnan(shown) and not len(target))
