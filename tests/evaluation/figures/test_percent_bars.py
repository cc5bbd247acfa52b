from __future__ import annotations

import numpy as np

from lt_callbacks.evaluation.figures.percent_bars import bar_lengths, is_cut


def test_bars_end_at_the_limits():
    np.testing.assert_allclose(
        bar_lengths([98.0, 50.0, 3.0, np.nan], [5.0, 5.0, 5.0, np.nan]),
        [[5.0, 5.0, 3.0, np.nan], [2.0, 5.0, 5.0, np.nan]],
    )


def test_only_a_bar_that_would_leave_the_limits_is_cut():
    assert is_cut([50.0, 98.0], [1.0, 2.5])
    assert is_cut([50.0, 2.0], [1.0, 2.5])
    assert not is_cut([50.0, 98.0, 2.0, np.nan], [50.0, 2.0, 2.0, np.nan])


def test_a_mean_that_is_a_rounding_beyond_the_limit_has_no_bar_below_zero():
    # matplotlib refuses bars of negative length
    above = np.nextafter(100.0, 101.0)
    assert bar_lengths([above], [0.0]).tolist() == [[0.0], [0.0]]
    assert not is_cut([above], [1e-14])
