from __future__ import annotations

import torch
from adsa_small import distilled_set, fresh, network_input, trainer
from lightning.pytorch.plugins.precision import HalfPrecision, MixedPrecision, Precision

from lt_callbacks.distilled_set import PLAIN_VIEW, Views
from lt_callbacks.plugins.adsa.network import TrainedNetwork, trained_source
from lt_callbacks.relabel.network import weights_sha256


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


def test_the_source_says_what_its_logits_come_from():
    net, running = fresh().eval(), trainer(precision="bf16-mixed")
    source = trained_source(as_trained(net, running.precision_plugin), running)
    assert (source.precision, source.device, source.stored) == ("bf16-mixed", torch.device("cpu"), None)
    assert (source.model_sha256, source.networks) == (weights_sha256(net), None)
    logits = source.of(Views(distilled_set(), PLAIN_VIEW))(torch.arange(4), 0)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(logits, net(network_input(distilled_set().images[:4])).float())
