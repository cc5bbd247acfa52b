import math

import pytest

from lt_callbacks.adsa.class_curves import rising_root


@pytest.mark.parametrize("root", [-0.999, 0.0, 0.3333333, 3.9])
def test_finds_where_the_sign_turns(root):
    assert rising_root(lambda taus: (taus - root) ** 3, -1.0, 4.0) == pytest.approx(root, abs=1e-9)


def test_the_first_of_several():
    assert rising_root(lambda taus: -taus.cos(), 0.0, 20.0) == pytest.approx(math.pi / 2, abs=1e-9)


def test_an_end_where_nothing_rises():
    assert rising_root(lambda taus: taus + 10, -1.0, 4.0) == -1.0
    assert rising_root(lambda taus: taus - 10, -1.0, 4.0) == 4.0
