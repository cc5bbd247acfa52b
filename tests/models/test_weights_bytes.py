from __future__ import annotations

import torch
from safetensors.torch import load
from torch import nn

from lt_callbacks.models.weights_bytes import weights_bytes


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))


def test_weights_as_bytes_are_those_of_the_module():
    module, fresh = network(1), network(2)
    fresh.load_state_dict(load(weights_bytes(module)))
    for name, value in module.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value)
    assert weights_bytes(module) == weights_bytes(fresh)
    assert module[1].num_batches_tracked.dtype == load(weights_bytes(module))["1.num_batches_tracked"].dtype


def test_tied_weights_and_views_become_bytes_too():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(3, 3)
            self.tied = nn.Linear(3, 3)
            self.tied.weight = self.first.weight
            whole = torch.arange(12.0).view(3, 4)
            self.register_buffer("turned", whole.T)
            # Two parts of one memory, which safetensors would refuse or save as a whole.
            self.register_buffer("left", whole[:, :2])
            self.register_buffer("right", whole[:, 2:])
            self.register_buffer("spread", torch.ones(1).expand(5))

    module = Odd()
    content = load(weights_bytes(module))
    assert {name: tuple(value.shape) for name, value in content.items()} == {
        name: tuple(value.shape) for name, value in module.state_dict().items()
    }
    assert all(torch.equal(content[name], value) for name, value in module.state_dict().items())
    # The module itself is not copied or untied.
    assert module.tied.weight is module.first.weight
    assert module.left.data_ptr() == module.turned.data_ptr()
