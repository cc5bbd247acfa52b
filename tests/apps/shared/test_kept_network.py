from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from lt_callbacks.apps.shared.kept_network import FACTS, WEIGHTS, keep_network, take_network


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_a_network_comes_back_with_what_was_told_of_it(tmp_path):
    kept, taken = network(1), network(2)
    kept(torch.rand(5, 2))
    facts = {"seconds": 1.5, "curves": {"epoch": [1.0, None]}}
    keep_network(tmp_path / "new" / "folder", kept, facts)
    assert take_network(tmp_path / "new" / "folder", taken) == facts
    for name, value in kept.state_dict().items():
        assert torch.equal(value, taken.state_dict()[name]), name


def test_nothing_is_taken_where_nothing_was_kept(tmp_path):
    before = network()
    assert take_network(tmp_path, before) is None
    # Weights without the facts, which are written last, are half of it.
    keep_network(tmp_path, network(1), {})
    (tmp_path / FACTS).unlink()
    assert take_network(tmp_path, before) is None
    assert all(torch.equal(*pair) for pair in zip(before.parameters(), network().parameters(), strict=True))


def test_numbers_that_are_not_finite_come_back(tmp_path):
    """Curves have them where nothing was measured, and where a training diverged."""
    keep_network(tmp_path, network(), {"curves": [1.0, math.nan, math.inf, -math.inf]})
    facts = take_network(tmp_path, network())
    assert str(facts["curves"]) == "[1.0, nan, inf, -inf]"


def truncated(folder):
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1])


def flipped(folder):
    path = folder / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def edited(folder):
    content = json.loads((folder / FACTS).read_text())
    content["facts"]["seconds"] = 2.0
    (folder / FACTS).write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        truncated,
        flipped,
        edited,
        lambda folder: (folder / WEIGHTS).unlink(),
        lambda folder: (folder / FACTS).write_text("{"),
        lambda folder: (folder / FACTS).write_text("[1]"),
        lambda folder: (folder / FACTS).write_text('{"facts": 3}'),
    ],
)
def test_damage_is_refused_by_name(tmp_path, damage):
    keep_network(tmp_path, network(), {"seconds": 1.0})
    damage(tmp_path)
    text = f"^The finished training '{tmp_path}' must be as it was written; a file is missing, truncated or edited. Del"
    with pytest.raises(ValueError, match=text):
        take_network(tmp_path, network())


def test_another_networks_weights_are_refused(tmp_path):
    keep_network(tmp_path, network(), {})
    with pytest.raises(ValueError, match="another architecture's do not fit"):
        take_network(tmp_path, nn.Linear(2, 3))
