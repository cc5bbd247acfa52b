from __future__ import annotations

import statistics

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from inputs import mistakes, mostly
from outcomes import REFUSED, outcome

from lt_callbacks.evaluation import (
    MethodResult,
    class_confidence_figure,
    class_counts_figure,
    conclusion,
    distilled_images_figure,
    gain_over,
    mean,
    paired_difference,
    proxy_labels_figure,
    sd,
    summarise,
    tau_curve_figure,
    training_curves_figure,
    transition_figure,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
percent = st.floats(0, 100)


@given(values=st.lists(finite, min_size=1, max_size=20))
def test_mean_and_deviation_are_those_of_exact_arithmetic(values):
    exact = float(statistics.mean(map(statistics.Fraction, values)))
    assert mean(values) == pytest.approx(exact, rel=1e-12, abs=1e-320)
    assert min(values) - 1e-9 * abs(min(values)) <= mean(values) <= max(values) + 1e-9 * abs(max(values))
    spread = outcome(sd, values)
    if len(values) == 1:
        assert spread is None
    elif spread is not REFUSED:
        assert spread == pytest.approx(statistics.stdev(map(statistics.Fraction, values)), rel=1e-6, abs=1e-150)


@given(
    ours=st.dictionaries(st.integers(0, 9), percent, min_size=1, max_size=8),
    theirs=st.dictionaries(st.integers(0, 9), percent, min_size=1, max_size=8),
    shift=st.floats(-50, 50),
)
def test_a_paired_difference_is_antisymmetric_and_follows_a_shift(ours, theirs, shift):
    found = outcome(paired_difference, ours, theirs)
    if found is REFUSED:
        assert not ours.keys() & theirs.keys()
        return
    back = paired_difference(theirs, ours)
    assert back.mean == pytest.approx(-found.mean)
    assert found.num_pairs == len(ours.keys() & theirs.keys())
    moved = paired_difference({seed: value + shift for seed, value in ours.items()}, theirs)
    assert moved.mean == pytest.approx(found.mean + shift, abs=1e-9)
    if found.interval is not None:
        low, high = found.interval
        assert low <= found.mean <= high
        assert back.interval == pytest.approx((-high, -low), abs=1e-9)
        assert not (found.is_above_zero and found.is_below_zero)


@st.composite
def results(draw):
    methods = draw(st.lists(st.sampled_from(["CE", "D-SINK", "naive", "f_N"]), min_size=1, max_size=4, unique=True))
    made = []
    for method in methods:
        for seed in draw(st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True)):
            accuracy = draw(percent)
            made.append(
                MethodResult(
                    method=method,
                    seed=seed,
                    accuracy=accuracy,
                    many=draw(percent),
                    medium=None,
                    few=draw(percent),
                    per_class=(accuracy, None),
                    seconds=1.0,
                )
            )
    return made


@given(made=results(), reference=mostly(st.none(), st.just("CE")))
def test_a_table_has_a_row_a_method_and_at_most_one_best(made, reference):
    rows = outcome(summarise, made, reference=reference)
    if rows is REFUSED:
        return
    by_method = {}
    for result in made:
        by_method.setdefault(result.method, []).append(result.accuracy)
    assert [row.method for row in rows] == list(by_method)
    for row in rows:
        assert row.shares["accuracy"].mean == pytest.approx(statistics.fmean(by_method[row.method]))
    for share in ("accuracy", "many", "few"):
        assert sum(share in row.best for row in rows) <= 1
    assert isinstance(conclusion(rows), str)


@given(made=results())
def test_a_gain_is_over_the_better_reference(made):
    gain = gain_over(made, method="D-SINK", references=["CE", "naive"])
    if gain is not None:
        pair = {name: {r.seed: r.accuracy for r in made if r.method == name} for name in ("D-SINK", gain.reference)}
        assert gain.difference == paired_difference(pair["D-SINK"], pair[gain.reference])


@given(made=results())
def test_a_result_comes_back_from_its_dictionary(made):
    assert [MethodResult.from_dict(result.to_dict()) for result in made] == made


FIELDS = {
    "method": "CE",
    "seed": 0,
    "accuracy": 50.0,
    "many": 1.0,
    "medium": None,
    "few": None,
    "per_class": (1.0,),
    "seconds": 1.0,
}


@given(changes=st.dictionaries(st.sampled_from([*FIELDS, "extra", "setting", "scored_on"]), mistakes, max_size=2))
def test_any_fields_of_a_result_are_kept_or_named(changes):
    outcome(MethodResult, **{**FIELDS, **changes})


@given(values=mostly(st.lists(mistakes, max_size=3)), reference=mistakes, confidence=mistakes)
def test_any_values_give_statistics_or_a_name(values, reference, confidence):
    found = outcome(mean, values)
    assert found is REFUSED or np.isfinite(found)
    outcome(sd, values)
    outcome(paired_difference, values, reference)
    outcome(paired_difference, {0: 1.0, 1: 2.0}, {0: 1.0, 1: values})
    outcome(paired_difference, {0: 1.0, 1: 2.0}, {0: 1.0, 1: 3.0}, confidence=confidence)


@given(first=mistakes, second=mistakes, third=mistakes)
def test_any_arguments_of_a_figure_are_drawn_or_named(first, second, third):
    # What can be drawn is drawn in the figures' own tests: here it would take most of the time.
    outcome(class_counts_figure, first, second, class_names=third)
    outcome(class_confidence_figure, first, second, class_counts=third)
    outcome(tau_curve_figure, first, second, tau=third)
    outcome(transition_figure, first, true_counts=second, class_names=third)
    outcome(training_curves_figure, {"ce": {"epoch": first, "train_loss": second}})
    outcome(training_curves_figure, third)
    outcome(distilled_images_figure, first, second)
    outcome(distilled_images_figure, np.zeros((2, 1, 4, 4)), first, per_class=third)
    square = [[0.5, 0.5]]
    probs = {"noise_probs": square, "imbalance_probs": square, "student_probs": square, "proxy_labels": square}
    outcome(proxy_labels_figure, images=first, given_label=second, **probs)
    outcome(proxy_labels_figure, images=np.zeros((1, 4, 4)), given_label=[0], **{**probs, "student_probs": third})


@given(counts=st.lists(st.integers(0, 2**62), min_size=1, max_size=6))
def test_counts_of_any_size_are_drawn_or_named(counts):
    assume(any(counts))
    outcome(class_counts_figure, counts)
