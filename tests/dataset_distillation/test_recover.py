import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_world import CHANNELS, MEAN, SIDE, STD, is_same_state, real_images, state_of, trained_network
from torch import nn

from lt_callbacks.dataset_distillation.channel_statistics import ChannelStatistics, batch_moments, total_distance
from lt_callbacks.dataset_distillation.recover import Recovery, recover, to_uint8

CLASSES = torch.tensor([0, 1, 2, 0])


def noise(num_images=4, seed=0):
    return torch.randn(num_images, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def matching(networks, weight):
    """The networks' own running statistics as the second part of the loss."""
    wanted = [ChannelStatistics(network).running() for network in networks]

    def loss(number, seen):
        return weight * total_distance([batch_moments(inputs) for inputs in seen.inputs], wanted[number])

    return loss


def recovered(networks, *, start=None, classes=CLASSES, weight=0.0, seed=0, on_step=None, **settings):
    return recover(
        noise() if start is None else start,
        classes,
        networks,
        real=real_images(),
        settings=Recovery(**{"num_steps": 12, "learning_rate": 0.2, **settings}),
        statistics_loss=matching(networks, weight),
        seed=seed,
        on_step=on_step,
    )


class Probe(nn.Module):
    """Logits that no pixel changes; what it is shown reaches its batch-norm layer as it is."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(CHANNELS)

    def forward(self, images):
        assert not self.training
        assert not self.norm.weight.requires_grad
        return self.norm(images).mean(dim=(2, 3)) @ torch.zeros(CHANNELS, 3)


def views_of(start, *, slope=0.0, networks=None, seed=0, **settings):
    """What the networks saw in each step: (T, B, channels, H, W); the loss rises by ``slope`` with every pixel."""
    networks, shown = networks or [Probe()], []

    def statistics_loss(number, seen):
        assert seen.layers == [networks[number].norm]
        shown.append((number, seen.inputs[0].detach().clone()))
        return slope * seen.inputs[0].sum()

    # Statistics that leave pixels as they are, so that shares in [0, 1] are their own network input.
    real = real_images(mean=(0.0, 0.0), std=(1.0, 1.0))
    result = recover(
        start,
        torch.zeros(len(start), dtype=torch.int64),
        networks,
        real=real,
        settings=Recovery(**{"num_steps": 60, "learning_rate": 0.01, **settings}),
        statistics_loss=statistics_loss,
        seed=seed,
    )
    return torch.stack([images for _, images in shown]), [number for number, _ in shown], result


@torch.no_grad()
def cross_entropy(network, images, classes=CLASSES):
    return float(F.cross_entropy(network(real_images().normalised(images)), classes))


def test_networks_recognise_what_they_did_not_recognise_before():
    network = trained_network()
    result = recovered([network], num_steps=30)
    network.eval()
    assert result.dtype == torch.uint8
    assert result.shape == (4, CHANNELS, SIDE, SIDE)
    before = cross_entropy(network, to_uint8(noise(), real_images()))
    assert cross_entropy(network, result) < 0.1 * before
    assert network(real_images().normalised(result)).argmax(dim=1).tolist() == CLASSES.tolist()


def test_statistics_come_closer_where_they_count():
    network = trained_network()

    def distance(images):
        with torch.no_grad(), ChannelStatistics(network.eval()) as seen:
            network(real_images().normalised(images))
            return float(total_distance([batch_moments(inputs) for inputs in seen.inputs], seen.running()))

    start = distance(to_uint8(noise(), real_images()))
    without, with_ = (distance(recovered([network], weight=weight, num_steps=30)) for weight in (0.0, 100.0))
    assert with_ < 0.5 * start
    assert with_ < 0.5 * without


def test_networks_and_start_are_left_alone():
    networks = [trained_network(), trained_network(1)]
    networks[0].layers[1].eval()
    networks[1].head.weight.requires_grad_(False)
    before, start = [state_of(network) for network in networks], noise()
    recovered(networks, start=start, weight=1.0)
    assert all(is_same_state(*each) for each in zip(networks, before, strict=True))
    assert torch.equal(start, noise())
    assert not start.requires_grad


def test_networks_are_left_alone_after_an_error():
    network = trained_network()
    before = state_of(network)

    def fail(done):
        if done == 3:
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        recovered([network], on_step=fail)
    assert is_same_state(network, before)


def test_the_seed_alone_decides():
    settings = {"jitter": 3, "crop_area": (0.3, 1.0), "flip": True}
    torch.manual_seed(1)
    first, state = recovered([trained_network()], seed=5, **settings), torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(first, recovered([trained_network()], seed=5, **settings))
    torch.manual_seed(1)
    assert not torch.equal(first, recovered([trained_network()], seed=6, **settings))
    assert torch.equal(torch.get_rng_state(), state)


def test_images_stay_in_the_range_of_pixels_from_the_first_step_on():
    start = torch.linspace(-3, 3, 2 * CHANNELS * SIDE * SIDE).view(2, CHANNELS, SIDE, SIDE)
    shown, _, _ = views_of(start, slope=1.0, num_steps=4, learning_rate=0.5)
    assert torch.equal(shown[0], start)
    assert float(shown[1:].min()) == 0
    assert float(shown[1:].max()) <= 1
    # Each channel has its own range.
    images = []

    def keep(number, seen):
        images.append(seen.inputs[0].detach().clone())
        return -seen.inputs[0].sum()

    settings = Recovery(num_steps=6, learning_rate=10.0)
    result = recover(noise(), CLASSES, [Probe()], real=real_images(), settings=settings, statistics_loss=keep, seed=0)
    brightest = torch.tensor([(1 - mean) / std for mean, std in zip(MEAN, STD, strict=True)])
    assert torch.allclose(images[-1].amax(dim=(0, 2, 3)), brightest)
    assert torch.allclose(images[-1].amin(dim=(0, 2, 3)), brightest)
    assert bool((result == 255).all())


def test_the_rate_falls_along_a_cosine():
    """A loss that is linear in the pixels: Adam moves each of them by exactly the rate."""
    num_steps = 10
    shown, _, result = views_of(torch.full((1, CHANNELS, SIDE, SIDE), 0.9), slope=1.0, num_steps=num_steps)
    moved = -(shown[1:] - shown[:-1]).double().amin(dim=(1, 2, 3, 4))
    expected = [0.01 * (1 + math.cos(math.pi * step / num_steps)) / 2 for step in range(num_steps)]
    np.testing.assert_allclose(moved, expected[:-1], atol=1e-6)
    assert result.unique().tolist() == [round((0.9 - sum(expected)) * 255)]


def test_a_shift_rolls_the_whole_batch_and_reaches_both_ends():
    start = torch.rand(3, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    shown, _, _ = views_of(start, jitter=2)
    places = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    found = []
    for view in shown:
        (place,) = (place for place in places if torch.equal(view, start.roll(place, dims=(2, 3))))
        found.append(place)
    assert {down for down, _ in found} == {right for _, right in found} == set(range(-2, 3))
    assert len(set(found)) > 12


def test_a_flip_mirrors_the_whole_batch_in_about_half_of_the_steps():
    start = torch.rand(3, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    shown, _, _ = views_of(start, flip=True)
    is_mirrored = [torch.equal(view, start.flip(-1)) for view in shown]
    assert all(mirrored or torch.equal(view, start) for mirrored, view in zip(is_mirrored, shown, strict=True))
    assert 18 <= sum(is_mirrored) <= 42
    assert bool((views_of(start)[0] == start).all())


def test_a_crop_shows_the_same_part_of_the_whole_batch_resized():
    side = 16
    line = torch.arange(side) / side
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    shown, _, _ = views_of(torch.stack([rows, columns]).expand(2, -1, -1, -1), crop_area=(0.2, 0.8), num_steps=120)
    assert shown.shape[1:] == (2, CHANNELS, side, side)
    assert torch.equal(shown[:, 0], shown[:, 1])
    # The picture tells where a pixel was: from the first row that is seen to the last one.
    first, last = ((part * side).round() for part in (shown[:, 0].amin(dim=(2, 3)), shown[:, 0].amax(dim=(2, 3))))
    sizes = last - first + 1
    area, ratio = sizes.prod(dim=1) / side**2, sizes[:, 1] / sizes[:, 0]
    assert 0.15 < float(area.min()) < 0.3 < 0.7 < float(area.max()) < 0.88
    assert 0.65 < float(ratio.min()) < 0.85 < 1.2 < float(ratio.max()) < 1.5
    assert float(first.min()) == 0
    assert float(last.max()) == side - 1
    assert len(first[:, 0].unique()) > 5
    # Resized evenly: steps from pixel to pixel are equal inside.
    inside = shown[0, 0, 0, 3:-3, 0].diff()
    assert torch.allclose(inside, inside.mean().expand_as(inside), atol=1e-5)


def test_networks_take_turns():
    _, numbers, _ = views_of(noise().clamp(0, 1), networks=[Probe(), Probe(), Probe()], num_steps=8)
    assert numbers == [0, 1, 2, 0, 1, 2, 0, 1]


def test_every_step_is_told():
    told = []
    recovered([trained_network()], on_step=told.append, num_steps=5)
    assert told == [1, 2, 3, 4, 5]


def test_autocast_runs_the_networks_in_bfloat16_and_the_loss_in_float32():
    network, seen_dtypes, losses = trained_network(), set(), []

    def statistics_loss(number, seen):
        seen_dtypes.update(inputs.dtype for inputs in seen.inputs)
        losses.append(total_distance([batch_moments(inputs) for inputs in seen.inputs], seen.running()))
        return losses[-1]

    settings = Recovery(num_steps=3, learning_rate=0.1, autocast=True)
    recover(noise(), CLASSES, [network], real=real_images(), settings=settings, statistics_loss=statistics_loss, seed=0)
    assert seen_dtypes == {torch.bfloat16}
    assert {loss.dtype for loss in losses} == {torch.float32}


def test_pixels_survive_the_way_there_and_back():
    pixels = torch.arange(256, dtype=torch.uint8).view(2, CHANNELS, 8, 8)
    real = real_images(mean=(0.4914, 0.4465), std=(0.2023, 0.261))
    assert torch.equal(to_uint8(real.normalised(pixels), real), pixels)
    # Rounded, not cut off; and never around the end of the range.
    shares = torch.tensor([-0.1, 0.6 / 255, 1.4 / 255, 1.1]).view(1, 1, 2, 2).expand(1, CHANNELS, 2, 2)
    found = to_uint8(
        (shares - torch.tensor(MEAN).view(1, -1, 1, 1)) / torch.tensor(STD).view(1, -1, 1, 1), real_images()
    )
    assert found[0, 0].flatten().tolist() == [0, 1, 1, 255]


@pytest.mark.parametrize(
    ("setting", "error", "text"),
    [
        ({"num_steps": 0}, ValueError, "`num_steps` must be an integer >= 1; got 0"),
        ({"num_steps": 2.5}, TypeError, "`num_steps` must be an integer >= 1; got 2.5"),
        ({"learning_rate": 0.0}, ValueError, "`learning_rate` must be a finite number > 0; got 0.0"),
        ({"betas": (0.5, 1.0)}, ValueError, "`betas` must be .* < 1; got 1.0"),
        ({"jitter": -1}, ValueError, "`jitter` must be an integer >= 0; got -1"),
        ({"crop_area": (0.5, 0.2)}, ValueError, r"`crop_area` must be \(smallest, largest\).*got \(0.5, 0.2\)"),
        ({"crop_area": (0.0, 0.2)}, ValueError, "`crop_area` must be .* > 0"),
        ({"crop_area": 0.5}, TypeError, r"`crop_area` must be a pair \(smallest, largest\).*got 0.5"),
        ({"crop_area": (0.5,)}, TypeError, "`crop_area` must be a pair"),
        ({"flip": "no"}, TypeError, "`flip` must be True or False; got 'no'"),
        ({"autocast": 1}, TypeError, "`autocast` must be True or False; got 1"),
    ],
)
def test_settings_out_of_range_are_refused(setting, error, text):
    with pytest.raises(error, match=text):
        Recovery(**{"num_steps": 1, "learning_rate": 0.1, **setting})
