"""The checker that sees where the host would wait for a GPU; what it is used on is in plugins/test_no_host_reads.py."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from no_host_reads import FakeCuda, HostRead
from torch import nn

BATCH = 12


@pytest.fixture
def cuda():
    return FakeCuda()


WAITS = {
    "item": lambda x, i: x.sum().item(),
    "bool": lambda x, i: bool(x.any()),
    "float": lambda x, i: float(x.sum()),
    "tolist": lambda x, i: x.tolist(),
    "nonzero": lambda x, i: x.nonzero(),
    "boolean index": lambda x, i: x[x > 0],
    "host index": lambda x, i: x[torch.arange(2)],
    "host index written to": lambda x, i: x.clone().index_put_((torch.arange(2),), x[:2]),
    "list index": lambda x, i: x[[0, 1]],
    "bincount": lambda x, i: torch.bincount(i, minlength=9),
    "one_hot": lambda x, i: F.one_hot(i),
    "unique": lambda x, i: i.unique(),
    "repeats": lambda x, i: torch.repeat_interleave(i, i),
    "equal": lambda x, i: torch.equal(x, x),
    "to the host": lambda x, i: x.cpu(),
    "from the host": lambda x, i: torch.zeros(3).to(x.device),
    "from a list": lambda x, i: torch.tensor([1.0, 2.0], device=x.device),
    "into a place": lambda x, i: torch.zeros(BATCH, 3).copy_(x),
}


WAITS_NOT = {
    "index": lambda x, i: x[i],
    "written by index": lambda x, i: x.clone().index_copy_(0, i, x),
    "where": lambda x, i: torch.where(x > 0, x, 0.0),
    "masked": lambda x, i: x.masked_fill(x > 0, 0.0),
    "one_hot with its classes": lambda x, i: F.one_hot(i, BATCH),
    "a number of the host": lambda x, i: x * torch.tensor(2.0),
    "without waiting": lambda x, i: x.to("cpu", non_blocking=True),
    "filled": lambda x, i: torch.full((3,), 1.5, device=x.device),
}


@pytest.mark.parametrize("name", WAITS)
def test_the_checker_sees_what_waits(cuda, name):
    x, index = cuda.placed((torch.randn(BATCH, 3), torch.arange(BATCH)))
    with pytest.raises(HostRead), cuda.step():
        WAITS[name](x, index)


@pytest.mark.parametrize("name", WAITS_NOT)
def test_the_checker_lets_by_what_does_not(cuda, name):
    x, index = cuda.placed((torch.randn(BATCH, 3), torch.arange(BATCH)))
    with cuda.step():
        WAITS_NOT[name](x, index)


def test_objects_are_placed_with_all_that_they_hold(cuda):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert cuda.placed(net) is net
    tensors = [*net.parameters(), *net.buffers()]
    assert {tensor.device for tensor in tensors} == {cuda.device}
    assert all(isinstance(weight, nn.Parameter) and weight.requires_grad for weight in net.parameters())
    assert cuda.held(torch.zeros(3)).device.type == "cpu"
