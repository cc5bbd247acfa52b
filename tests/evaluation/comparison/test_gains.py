from __future__ import annotations

import pytest
from made_results import method_result

from lt_callbacks.evaluation import gain_over

TEACHERS = ("f_L alone", "f_N alone")


def results(**accuracies):
    """Method -> accuracies of seeds 0, 1, ...; None: not run."""
    names = {"ours": "D-SINK", "left": "f_L alone", "right": "f_N alone"}
    return [
        method_result(names[name], seed, value)
        for name, values in accuracies.items()
        for seed, value in enumerate(values)
        if value is not None
    ]


def test_the_reference_is_the_better_on_average_and_the_difference_is_paired():
    gain = gain_over(results(ours=(60, 70), left=(50, 90), right=(55, 67)), method="D-SINK", references=TEACHERS)
    assert gain.reference == "f_L alone"
    assert gain.difference.mean == pytest.approx(((60 - 50) + (70 - 90)) / 2)
    assert gain.difference.num_pairs == 2


def test_references_are_compared_on_the_seeds_that_all_have():
    # f_L is better where both were run; seed 1, which only f_N has, is an easy one
    gain = gain_over(results(ours=(60, 99), left=(56, None), right=(55, 95)), method="D-SINK", references=TEACHERS)
    assert (gain.reference, gain.difference.mean, gain.difference.num_pairs) == ("f_L alone", 4, 1)


def test_references_without_a_common_seed_are_still_compared():
    gain = gain_over(results(ours=(60, 70), left=(50, None), right=(None, 65)), method="D-SINK", references=TEACHERS)
    assert (gain.reference, gain.difference.mean) == ("f_N alone", 5)


def test_one_teacher_is_the_better_one_where_the_other_was_not_run():
    gain = gain_over(results(ours=(60,), right=(55,)), method="D-SINK", references=TEACHERS)
    assert (gain.reference, gain.difference.interval) == ("f_N alone", None)


def test_other_methods_do_not_count():
    gain = gain_over(results(ours=(60,), left=(50,), right=(59,)), method="D-SINK", references=["f_L alone"])
    assert gain.reference == "f_L alone"


@pytest.mark.parametrize(
    "accuracies", [{"ours": (60, 70)}, {"left": (60, 70)}, {"ours": (60, None), "left": (None, 50)}, {}]
)
def test_without_a_common_seed_there_is_no_gain(accuracies):
    assert gain_over(results(**accuracies), method="D-SINK", references=TEACHERS) is None
