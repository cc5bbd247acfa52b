from __future__ import annotations

import pytest

from lt_callbacks._covering_size import covering_size


@pytest.mark.parametrize(
    ("full", "size", "resize", "expected"),
    [
        ((32, 32), (32, 32), 1.0, [32, 32]),
        # The shorter side decides, the longer one keeps the ratio.
        ((100, 200), (50, 50), 1.0, [50, 100]),
        ((200, 100), (50, 50), 1.0, [100, 50]),
        ((400, 500), (224, 224), 256 / 224, [256, 320]),
        # 3 * 64 / 7 = 27.4
        ((7, 3), (64, 20), 1.0, [64, 27]),
        # Never less than what is cut out, whatever rounding says.
        ((1000, 3), (8, 8), 1.0, [2667, 8]),
    ],
)
def test_an_image_is_as_small_as_covers(full, size, resize, expected):
    assert covering_size(full, size, resize=resize) == expected
