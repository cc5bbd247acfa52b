import pytest
import torch

from lt_callbacks.adsa.tau_problem import FitSettings


def test_the_grid_is_uniform_and_holds_both_ends():
    grid = FitSettings().grid()
    assert (float(grid[0]), float(grid[-1]), len(grid)) == (-1.0, 4.0, 501)
    torch.testing.assert_close(grid.diff(), torch.full((500,), 0.01, dtype=torch.float64))
    assert len(FitSettings(lowest=0, highest=0.02).grid()) == 11


def test_curves_are_known_at_zero_too():
    assert FitSettings(lowest=0.5, highest=2.0).node_ends == (0.0, 2.0)
    assert FitSettings(lowest=-3.0, highest=-1.0).node_ends == (-3.0, 0.0)
    assert FitSettings().node_ends == (-1.0, 4.0)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        (
            {"lowest": 4.0},
            ValueError,
            "`highest` must be a finite number > 4 and <= 100; got 4.0. tau is looked for between",
        ),
        ({"lowest": 5.0}, ValueError, "`highest` must be a finite number > 5 and <= 100; got 4.0"),
        ({"lowest": float("-inf")}, ValueError, "`lowest` must be a finite number >= -100 and <= 100; got -inf"),
        ({"highest": "4"}, TypeError, "`highest` must be a finite number > -1 and <= 100; got '4'"),
        ({"highest": 1e6}, ValueError, "`highest` must be a finite number > -1 and <= 100; got 1000000.0"),
        (
            {"lowest": 0.0, "highest": 1e-300},
            ValueError,
            "`highest` must lie 1e-06 above `lowest` at least; got 1e-300",
        ),
        ({"shrink_sd": 0.0}, ValueError, "`shrink_sd` must be a finite number > 0; got 0.0"),
        ({"shrink_to": float("nan")}, ValueError, "`shrink_to` must be a finite number >= -1 and <= 4; got nan"),
        ({"shrink_to": 4.5}, ValueError, "`shrink_to` must be .* got 4.5. Widen `lowest` to `highest`"),
        ({"shrink_to": True}, TypeError, "`shrink_to` must be"),
    ],
)
def test_bad_settings_are_refused(settings, error, text):
    with pytest.raises(error, match=text):
        FitSettings(**settings)
