from __future__ import annotations

import pytest
import torch

from lt_callbacks.relabel.ranks import OneProcess


def test_a_process_alone_sums_nothing_and_waits_for_nobody():
    ranks, values = OneProcess(), torch.ones(3)
    assert (ranks.rank, ranks.num_ranks) == (0, 1)
    assert ranks.total(values) is values
    assert ranks.together(lambda: 7) == 7


def test_its_errors_are_its_own():
    def fail():
        raise KeyError("own")

    with pytest.raises(KeyError, match="own"):
        OneProcess().together(fail)
