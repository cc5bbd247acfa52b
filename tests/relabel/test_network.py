from __future__ import annotations

import re

import pytest
import torch
from adsa_small import Net, distilled_set, fresh
from torch import nn

from lt_callbacks.relabel.network import check_network, weights_sha256

CPU = torch.device("cpu")


def test_the_module_does_not_notice_that_it_is_looked_at():
    net = fresh()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.layers[2].eval()
    check_network(net, distilled_set(), device=CPU)
    assert net.training
    assert not net.layers[2].training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert [name for name, _ in net.named_modules()][0] == ""
    assert all(parameter.grad is None for parameter in net.parameters())


class Returns(Net):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, images):
        return self.value(super().forward(images))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            lambda: Net(num_classes=3),
            "`distilled` must have the classes of the trained model; got a set of 4 (ant, bee, ",
        ),
        (lambda: Returns(lambda z: z.mean()), "`Returns.forward` must return logits of shape (8, C); got (). Let"),
        (lambda: Returns(lambda z: {"logits": z}), "must return logits of shape (8, C); got dict."),
        (lambda: Returns(lambda z: z[:2]), "must return logits of shape (8, C); got (2, 4)."),
        (
            lambda: nn.Conv2d(3, 4, 3),
            "`distilled` must hold images that Conv2d can be called with; got a float tensor of shape",
        ),
    ],
)
def test_a_module_that_does_not_fit_the_set_is_refused(module, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        check_network(module(), distilled_set(), device=CPU)


def test_the_mode_is_restored_after_a_refusal_too():
    net = Net(num_classes=3)
    with pytest.raises(ValueError, match="gives logits of 3"):
        check_network(net, distilled_set(), device=CPU)
    assert net.training


def test_the_hash_is_that_of_all_weights_and_buffers():
    net = fresh()
    first = weights_sha256(net)
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert weights_sha256(fresh()) == first
    assert weights_sha256(fresh(seed=1)) != first
    net.layers[2].running_mean += 1e-3
    assert weights_sha256(net) != first


def test_tied_and_sliced_weights_have_a_hash():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    net.register_buffer("part", torch.arange(8.0)[::2])
    assert weights_sha256(net)
