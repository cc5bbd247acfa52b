import pytest
import torch
from small_world import new_network, real_images
from torch import nn

from lt_callbacks.dataset_distillation.eval_mode import frozen_in_eval_mode


@pytest.fixture
def network():
    """In training, but for a layer and a weight that its owner froze."""
    network = new_network().train()
    network.layers[1].eval()
    network.layers[0].weight.requires_grad_(False)
    return network


def flags(network):
    return (
        [module.training for module in network.modules()],
        [weight.requires_grad for weight in network.parameters()],
    )


def test_inside_everything_is_frozen_and_outside_each_layer_is_as_it_was(network):
    before = flags(network)
    with frozen_in_eval_mode([network]):
        assert not any(module.training for module in network.modules())
        assert not any(weight.requires_grad for weight in network.parameters())
    assert flags(network) == before
    assert not network.layers[1].training
    assert not network.layers[0].weight.requires_grad


def test_a_network_in_eval_mode_stays_there(network):
    network.eval()
    before = flags(network)
    with frozen_in_eval_mode([network]):
        pass
    assert flags(network) == before
    assert not network.training


def test_flags_come_back_after_an_error(network):
    before = flags(network)
    with pytest.raises(RuntimeError, match="on purpose"), frozen_in_eval_mode([network, new_network(1)]):
        raise RuntimeError("on purpose")
    assert flags(network) == before


def test_flags_come_back_where_a_network_refuses_eval_mode(network):
    class Stubborn(nn.Linear):
        def train(self, mode=True):
            if not mode:
                raise RuntimeError("always in training")
            return super().train(mode)

    before = flags(network)
    with pytest.raises(RuntimeError, match="always in training"), frozen_in_eval_mode([network, Stubborn(2, 2)]):
        pass
    assert flags(network) == before


def test_networks_that_share_layers_are_restored(network):
    before = flags(network)
    with frozen_in_eval_mode([network, network, nn.Sequential(network)]):
        assert not network.training
    assert flags(network) == before


def test_train_is_not_called():
    class Loud(nn.Linear):
        def train(self, mode=True):
            assert not mode, "train() may be overridden to do something else"
            return super().train(mode)

    network = nn.Sequential(Loud(2, 2))
    with frozen_in_eval_mode([network]):
        assert not network[0].training
    assert network.training
    assert network[0].training


def test_gradients_reach_images_and_no_weight(network):
    real = real_images()
    images = real.normalised(real.pixels).requires_grad_(True)
    statistics = network.layers[1].running_mean.clone()
    with frozen_in_eval_mode([network]):
        network(images).square().sum().backward()
    assert bool((images.grad != 0).any())
    assert all(weight.grad is None for weight in network.parameters())
    assert torch.equal(network.layers[1].running_mean, statistics)
