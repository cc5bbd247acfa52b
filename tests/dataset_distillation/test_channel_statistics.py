import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_world import COUNTS, is_same_state, real_images, state_of, trained_network
from torch import nn

from lt_callbacks.dataset_distillation.channel_statistics import (
    ChannelStatistics,
    Moments,
    batch_moments,
    class_moments,
    real_class_moments,
    total_distance,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def inputs_by_hand(network, images):
    """What reaches each batch-norm layer of the small network in eval mode, float64."""
    first, second, third = (network.layers[place].weight.detach().double() for place in (0, 4, 8))

    def normed(x, norm):
        mean, var, weight, bias = (
            value.detach().double().view(1, -1, 1, 1)
            for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        return F.relu((x - mean) / (var + norm.eps).sqrt() * weight + bias)

    x1 = F.conv2d(images.double(), first, padding=1)
    x2 = F.conv2d(F.max_pool2d(normed(x1, network.layers[1]), 2), second, padding=1)
    x3 = F.conv2d(F.max_pool2d(normed(x2, network.layers[5]), 2), third, padding=1)
    return [x1, x2, x3]


def plain_moments(values):
    """Mean and biased variance of each channel of a float64 array (samples, channels, positions)."""
    channels = [[float(v) for sample in values for v in sample[channel]] for channel in range(values.shape[1])]
    means = [sum(channel) / len(channel) for channel in channels]
    variances = [
        sum((v - mean) ** 2 for v in channel) / len(channel) for channel, mean in zip(channels, means, strict=True)
    ]
    return np.array(means), np.array(variances)


@pytest.fixture
def network():
    return trained_network()


def test_inputs_of_batch_norm_layers_are_seen_in_the_order_of_the_layers(network):
    real = real_images()
    images = real.normalised(real.pixels[:5])
    with ChannelStatistics(network.eval()) as seen:
        network(images * 3)
        network(images)
        found = seen.inputs
    expected = inputs_by_hand(network, images)
    assert len(found) == len(expected) == len(seen.layers) == 3
    assert all(torch.allclose(a.double(), b, atol=1e-5) for a, b in zip(found, expected, strict=True))


def test_gradients_flow_from_what_was_seen_to_the_images(network):
    images = torch.randn(3, 2, 8, 8, generator=generator(), requires_grad=True)
    with ChannelStatistics(network.eval()) as seen:
        network(images)
        total_distance([batch_moments(inputs) for inputs in seen.inputs], seen.running()).backward()
    assert bool((images.grad.flatten(1) != 0).any(dim=1).all())


def test_hooks_are_gone_afterwards_and_after_an_error(network):
    before = state_of(network)
    with ChannelStatistics(network):
        assert sum(len(module._forward_pre_hooks) for module in network.modules()) == 3
    assert is_same_state(network, before)
    with pytest.raises(RuntimeError, match="on purpose"), ChannelStatistics(network):
        raise RuntimeError("on purpose")
    assert is_same_state(network, before)


def test_running_statistics_are_those_of_the_layers(network):
    norms = [network.layers[place] for place in (1, 5, 9)]
    for norm, moments in zip(norms, ChannelStatistics(network).running(), strict=True):
        assert torch.equal(moments.mean, norm.running_mean)
        assert torch.equal(moments.var, norm.running_var)
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    assert len(ChannelStatistics(synced).layers) == 3


def test_a_network_without_running_statistics_is_refused_by_name():
    with pytest.raises(ValueError, match="`networks` must have batch-norm layers.*got Flatten without one"):
        ChannelStatistics(nn.Flatten())
    with pytest.raises(ValueError, match="`networks` must have batch-norm layers.*got BatchNorm2d without one"):
        ChannelStatistics(nn.BatchNorm2d(3, track_running_stats=False))


def test_a_layer_that_the_forward_pass_leaves_out_is_named(network):
    network.auxiliary = nn.BatchNorm1d(17)
    with ChannelStatistics(network.eval()) as seen:
        with pytest.raises(RuntimeError, match="`networks` must use all their batch-norm layers.*4 of 4"):
            seen.inputs  # noqa: B018
        network(torch.zeros(2, 2, 8, 8))
        with pytest.raises(RuntimeError, match=r"1 of 4 saw nothing, the first of them BatchNorm1d\(17"):
            seen.inputs  # noqa: B018


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 5), (6, 3, 4, 5)])
def test_moments_of_a_batch_are_over_samples_and_positions(shape):
    inputs = torch.randn(shape, generator=generator()) * torch.tensor([1.0, 3.0, 0.2]).view(1, 3, *[1] * len(shape[2:]))
    mean, var = plain_moments(inputs.double().numpy().reshape(6, 3, -1))
    found = batch_moments(inputs)
    np.testing.assert_allclose(found.mean, mean, atol=1e-6)
    np.testing.assert_allclose(found.var, var, rtol=1e-5)


def test_moments_of_half_precision_are_taken_in_float32():
    inputs = (torch.randn(64, 2, 8, 8, generator=generator()) + 5).to(torch.bfloat16)
    mean, var = plain_moments(inputs.double().numpy().reshape(64, 2, -1))
    for found in (batch_moments(inputs), class_moments(inputs, torch.zeros(64, dtype=torch.int64), 1)):
        assert found.mean.dtype == found.var.dtype == torch.float32
        np.testing.assert_allclose(found.mean.flatten(), mean, rtol=1e-5)
        np.testing.assert_allclose(found.var.flatten(), var, rtol=1e-4)


@pytest.mark.parametrize("shape", [(7, 4), (7, 4, 3, 3)])
def test_moments_by_class_equal_those_of_the_class_alone(shape):
    inputs = torch.randn(shape, generator=generator()) + 1
    classes = torch.tensor([2, 0, 2, 1, 2, 0, 2])
    found = class_moments(inputs, classes, 3)
    assert found.mean.shape == found.var.shape == (3, 4)
    for label in range(3):
        mean, var = plain_moments(inputs[classes == label].double().numpy().reshape(-1, 4, *[int(np.prod(shape[2:]))]))
        np.testing.assert_allclose(found.mean[label], mean, atol=1e-5)
        np.testing.assert_allclose(found.var[label], var, atol=1e-5)


def test_a_constant_channel_has_no_negative_variance():
    inputs = torch.full((9, 2, 5, 5), 0.1)
    found = class_moments(inputs, torch.arange(9) % 3, 3)
    assert bool((found.var >= 0).all())
    assert float(found.var.max()) < 1e-8


def test_real_moments_by_class_equal_a_loop_over_classes_and_leave_the_network_alone(network):
    real, before = real_images(), state_of(network)
    assert tuple(real.class_counts.tolist()) == COUNTS
    found = real_class_moments(network, real, batch_size=4)
    assert is_same_state(network, before)
    by_hand = inputs_by_hand(network, real.normalised(real.pixels))
    for moments, inputs in zip(found, by_hand, strict=True):
        for label in range(3):
            own = inputs[real.labels == label].flatten(2).numpy()
            assert len(own) == COUNTS[label]
            mean, var = plain_moments(own)
            np.testing.assert_allclose(moments.mean[label], mean, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(moments.var[label], var, rtol=1e-4, atol=1e-5)


def test_real_moments_do_not_depend_on_the_batch_size(network):
    first, second, third = (real_class_moments(network, real_images(), batch_size=size) for size in (1, 9, 512))
    for others in zip(first, second, third, strict=True):
        assert all(torch.allclose(others[0].mean, other.mean, rtol=1e-5, atol=1e-6) for other in others)
        assert all(torch.allclose(others[0].var, other.var, rtol=1e-5, atol=1e-6) for other in others)


def test_modes_come_back_when_a_network_fails(network):
    before = state_of(network)
    real = real_images(pixels=torch.zeros(sum(COUNTS), 3, 8, 8, dtype=torch.uint8), mean=(0.5,) * 3, std=(0.2,) * 3)
    with pytest.raises(RuntimeError, match="channels"):
        real_class_moments(network, real, batch_size=8)
    assert is_same_state(network, before)


def test_distance_is_that_of_means_plus_that_of_variances_averaged_over_leading_dimensions():
    here = Moments(mean=torch.tensor([[3.0, 0.0], [0.0, 0.0]]), var=torch.tensor([[1.0, 1.0], [1.0, 2.0]]))
    there = Moments(mean=torch.tensor([0.0, 4.0]), var=torch.tensor([1.0, 1.0]))
    assert float(here.distance(there)) == pytest.approx((5 + 4) / 2 + (0 + 1) / 2)
    one = Moments(mean=torch.zeros(2), var=torch.zeros(2))
    other = Moments(mean=torch.tensor([3.0, 4.0]), var=torch.tensor([0.0, 2.0]))
    assert float(one.distance(other)) == pytest.approx(7)


def test_the_first_layer_counts_as_often_as_asked():
    zero = Moments(mean=torch.zeros(1), var=torch.zeros(1))
    layers = [Moments(mean=torch.tensor([size]), var=torch.zeros(1)) for size in (1.0, 10.0, 100.0)]
    assert float(total_distance(layers, [zero] * 3)) == pytest.approx(111)
    assert float(total_distance(layers, [zero] * 3, first_weight=5.0)) == pytest.approx(115)
    with pytest.raises(ValueError, match="zip"):
        total_distance(layers, [zero] * 2)
