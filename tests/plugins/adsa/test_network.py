from __future__ import annotations

import re

import pytest
import torch
from adsa_small import Net, distilled_set, fresh, network_input
from lightning.pytorch.plugins.precision import HalfPrecision, MixedPrecision, Precision
from torch import nn

from lt_callbacks.plugins.adsa.network import TrainedNetwork, check_network, weights_sha256

CPU = torch.device("cpu")


def as_trained(module, precision=None):
    return TrainedNetwork(module, precision=precision or Precision())


def test_the_network_runs_in_the_precision_of_its_trainer():
    images = network_input(distilled_set().images)
    net = fresh().eval()
    with torch.no_grad():
        assert torch.equal(as_trained(net)(images), net(images))
        mixed = as_trained(net, MixedPrecision("bf16-mixed", "cpu"))(images)
        assert mixed.dtype == torch.bfloat16
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(mixed, net(images))
        half = as_trained(fresh().eval().bfloat16(), HalfPrecision("bf16-true"))(images)
        assert half.dtype == torch.bfloat16
        # Cast by hand, where the trainer knows nothing of it.
        assert as_trained(fresh().eval().double())(images).dtype == torch.float64


def test_the_module_does_not_notice_that_it_is_looked_at():
    net = fresh()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.layers[2].eval()
    check_network(as_trained(net), distilled_set(), device=CPU)
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
            "`distilled` must have the classes of the trained model; the set has 4 (ant, bee, ",
        ),
        (lambda: Returns(lambda z: z.mean()), "Returns.forward(images) must return logits of shape (8, C); got ()."),
        (lambda: Returns(lambda z: {"logits": z}), "must return logits of shape (8, C); got dict."),
        (lambda: Returns(lambda z: z[:2]), "must return logits of shape (8, C); got (2, 4)."),
        (
            lambda: nn.Conv2d(3, 4, 3),
            "`distilled` must hold images that Conv2d can be called with; `forward` on a float",
        ),
    ],
)
def test_a_module_that_does_not_fit_the_set_is_refused(module, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        check_network(as_trained(module()), distilled_set(), device=CPU)


def test_the_mode_is_restored_after_a_refusal_too():
    net = Net(num_classes=3)
    with pytest.raises(ValueError, match="gives logits of 3"):
        check_network(as_trained(net), distilled_set(), device=CPU)
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
