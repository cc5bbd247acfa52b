from __future__ import annotations

import re

import numpy as np
import pytest
from made_results import method_result

from lt_callbacks.evaluation import summarise


def runs(method, accuracies, **changes):
    return [method_result(method, seed, accuracy, **changes) for seed, accuracy in enumerate(accuracies)]


def test_rows_hold_mean_sd_and_paired_difference_in_the_order_given():
    results = [*runs("Z", [50.0, 52.0, 57.0]), *runs("A", [60.0, 63.0, 66.0])]
    first, second = summarise(results, reference="Z")
    assert (first.method, first.num_seeds, first.is_reference, first.difference) == ("Z", 3, True, None)
    assert (second.method, second.is_reference) == ("A", False)
    spread = second.shares["accuracy"]
    assert spread is not None
    assert spread.mean == pytest.approx(63.0)
    assert spread.sd == pytest.approx(3.0)
    assert second.difference is not None
    assert second.difference.mean == pytest.approx(np.mean([10, 11, 9]))
    assert second.shares["wrong_labels_fitted"] is None


def test_order_follows_first_appearance_even_when_seeds_alternate():
    results = [method_result("B", 0), method_result("A", 0), method_result("B", 1), method_result("A", 1)]
    assert [row.method for row in summarise(results, reference=None)] == ["B", "A"]


def test_best_needs_an_interval_above_zero_against_every_other_method():
    clear = [70.0, 71.0, 72.0]
    assert summarise([*runs("CE", [50.0, 51.0, 53.0]), *runs("D", clear)], reference="CE")[1].best >= {"accuracy"}
    # a third method as good as the first takes the mark away from both
    rows = summarise(
        [*runs("CE", [50.0, 51.0, 53.0]), *runs("D", clear), *runs("E", [71.0, 70.0, 71.5])], reference=None
    )
    assert [row.best for row in rows] == [frozenset()] * 3


def test_best_is_decided_for_each_column():
    results = [
        *[method_result("A", seed, 60.0 + seed, few=40.0 + seed) for seed in range(3)],
        *[method_result("B", seed, 70.0 + 1.1 * seed, few=20.0 + 1.1 * seed) for seed in range(3)],
    ]
    a, b = summarise(results, reference=None)
    assert a.best == {"few"}
    assert b.best == {"accuracy"}


def test_nobody_is_best_alone_or_with_one_seed():
    assert summarise(runs("CE", [50.0, 60.0]), reference=None)[0].best == frozenset()
    assert all(
        not row.best for row in summarise([method_result("A", 0, 10.0), method_result("B", 0, 90.0)], reference="A")
    )


def test_methods_without_a_common_seed_are_not_compared():
    reference, other = summarise([method_result("A", 0, 10.0), method_result("B", 1, 90.0)], reference="A")
    assert reference.difference is None
    assert other.difference is None


def test_nobody_is_best_who_was_not_compared_with_every_other():
    """E has seeds of its own: whether D is better than E is not known, nor the other way round."""
    ours = [*runs("CE", [50.0, 51.0, 53.0]), *runs("D", [70.0, 71.0, 72.0])]
    apart = [method_result("E", seed, 10.0 + seed) for seed in (7, 8, 9)]
    assert "accuracy" in summarise(ours, reference="CE")[1].best
    assert [row.best for row in summarise([*ours, *apart], reference="CE")] == [frozenset()] * 3
    # One pair has no interval.
    single = [method_result("F", seed, 10.0 + seed) for seed in (2, 8)]
    assert [row.best for row in summarise([*ours, *single], reference="CE")] == [frozenset()] * 3


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="`results` must hold at least one result; got none."):
        summarise([], reference=None)
    with pytest.raises(
        ValueError, match=re.escape("`reference` must be one of 'D-SINK'; got 'D-SNK'. Did you mean 'D-SINK'?")
    ):
        summarise([method_result("D-SINK")], reference="D-SNK")
    with pytest.raises(ValueError, match=re.escape("'CE' with seed 0 twice. Drop one of the two.")):
        summarise([method_result("CE"), method_result("CE")], reference=None)
    with pytest.raises(ValueError, match=re.escape("got ['', 'ratio 0.4']. Make one table for each.")):
        summarise([method_result("CE"), method_result("CE", 1, setting="ratio 0.4")], reference=None)
    with pytest.raises(
        ValueError,
        match=re.escape("`few` must be given for every seed of a method or for none; got none for seed 1 of 'CE'."),
    ):
        summarise([method_result("CE", 0), method_result("CE", 1, few=None)], reference=None)
