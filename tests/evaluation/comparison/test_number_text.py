from __future__ import annotations

import pytest

from lt_callbacks.evaluation.comparison import number_text
from lt_callbacks.evaluation.comparison.statistics import PairedDifference
from lt_callbacks.evaluation.comparison.summary import Spread


@pytest.mark.parametrize(("value", "text"), [(2.34, "+2.3"), (-2.34, "−2.3"), (0.0, "+0.0")])
def test_differences_have_a_sign(value, text):
    assert number_text.signed(value) == text


def test_a_difference_is_written_with_its_interval():
    paired = PairedDifference(mean=-1.0, sd=1.0, interval=(-2.0, 0.5), num_pairs=3)
    assert number_text.difference(paired, num_seeds=3) == "−1.0 [−2.0, +0.5]"
    assert number_text.difference(paired, num_seeds=5) == "−1.0 [−2.0, +0.5] (n = 3)"
    single = PairedDifference(mean=1.0, sd=None, interval=None, num_pairs=1)
    assert number_text.difference(single, num_seeds=1) == "+1.0"


def test_a_mean_is_written_with_its_deviation():
    assert number_text.spread(Spread(mean=75.84, sd=2.76)) == "75.8 ± 2.8"
    assert number_text.spread(Spread(mean=75.84, sd=None)) == "75.8"
    assert number_text.spread(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations_have_the_unit_that_fits(seconds, text):
    assert number_text.duration(seconds) == text
