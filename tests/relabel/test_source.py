from __future__ import annotations

import torch
from adsa_small import distilled_set, fresh, network_input

from lt_callbacks.distilled_set import PLAIN_VIEW, Views, ViewSettings
from lt_callbacks.relabel import network_source
from lt_callbacks.relabel.network import weights_sha256
from lt_callbacks.relabel.source import logits_of

EVERYTHING = torch.arange(len(distilled_set()))


def test_the_logits_of_a_network_are_what_it_gives_for_the_views():
    net = fresh()
    views = Views(distilled_set(), ViewSettings(crop="padded", crop_padding=1, mix="cutmix"))
    logits = logits_of(net)(views)
    for view in (0, 2):
        with torch.no_grad():
            expected = fresh().eval()(views.images(EVERYTHING, view))
        found = logits(EVERYTHING, view)
        assert torch.equal(found, expected)
        assert not found.requires_grad
    # Left as it was.
    assert net.training


def test_a_networks_source_says_what_is_known_of_it():
    net = fresh().double()
    source = network_source(net)
    assert source.model_sha256 == weights_sha256(net)
    assert (source.device, source.stored, source.networks, source.precision) == (torch.device("cpu"), None, None, None)
    found = source.of(Views(distilled_set(), PLAIN_VIEW))(EVERYTHING, 0)
    with torch.no_grad():
        expected = net.eval()(network_input(distilled_set().images).double())
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), expected)


def test_a_network_without_weights_works_on_the_cpu():
    assert network_source(torch.nn.Flatten()).device == torch.device("cpu")
