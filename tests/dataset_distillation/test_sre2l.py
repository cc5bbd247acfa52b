import pytest
import torch
from small_world import is_same_state, real_images, state_of, trained_network

from lt_callbacks.dataset_distillation import SRe2L
from lt_callbacks.dataset_distillation.channel_statistics import ChannelStatistics, batch_moments

#: Steps that change nothing: the result is where they started.
STANDING = {"num_steps": 1, "learning_rate": 1e-9}


def made(distiller, networks=None, *, real=None, images_per_class=2, seed=0, on_step=None):
    return distiller.distil(
        real_images() if real is None else real,
        [trained_network()] if networks is None else networks,
        images_per_class=images_per_class,
        seed=seed,
        on_step=on_step,
    )


def test_images_start_at_noise_and_know_nothing_of_real_pixels():
    first = made(SRe2L(**STANDING), images_per_class=4)
    assert first == made(SRe2L(**STANDING), real=real_images(seed=5), images_per_class=4)
    real = real_images()
    pixels = real.normalised(first.images)
    lowest, highest = (real.normalised(torch.full((1, 2, 1, 1), value)) for value in (0.0, 1.0))
    inside = (pixels > lowest + 0.01) & (pixels < highest - 0.01)
    # What the range of pixels cuts off a normal distribution: about a tenth here.
    shares = torch.distributions.Normal(0, 1).cdf(torch.cat([lowest, highest]).flatten())
    expected = float(shares[2:].mean() - shares[:2].mean())
    assert float(inside.float().mean()) == pytest.approx(expected, abs=0.04)
    assert abs(float(pixels.mean())) < 0.1
    # No two images start at the same noise.
    together = torch.corrcoef(pixels.flatten(1))
    assert float((together - torch.eye(len(pixels))).abs().max()) < 0.4


def test_the_seed_alone_decides():
    distiller = SRe2L(num_steps=3)
    torch.manual_seed(1)
    first = made(distiller, seed=2)
    torch.manual_seed(2)
    assert first == made(distiller, seed=2)
    assert first != made(distiller, seed=3)


def test_images_of_other_seeds_start_elsewhere():
    first, second = (
        real_images().normalised(made(SRe2L(**STANDING), images_per_class=3, seed=seed).images).flatten(1)
        for seed in (0, 1)
    )
    # Each with each, whatever its place.
    between = torch.corrcoef(torch.cat([first, second]))[: len(first), len(first) :]
    assert float(between.abs().max()) < 0.4


def test_the_network_recognises_every_image_as_its_class_one_class_after_the_other():
    network = trained_network()
    before = state_of(network)
    distilled = made(SRe2L(num_steps=40, jitter=1), [network], images_per_class=3)
    assert is_same_state(network, before)
    assert distilled.intended_class.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    logits = network.eval()(real_images().normalised(distilled.images))
    assert logits.argmax(dim=1).tolist() == distilled.intended_class.tolist()
    assert float(logits.softmax(dim=1).amax(dim=1).min()) > 0.9


def test_one_image_a_class_makes_a_batch_that_knows_nothing_of_the_others():
    """Side by side or one after the other, with and without a smaller last group: the same images."""
    settings = {"num_steps": 5, "learning_rate": 0.05, "jitter": 0, "statistics_weight": 1.0}
    alone, pairs, whole = (
        made(SRe2L(batch_size=size, **settings), images_per_class=3).images.int() for size in (1, 6, 200)
    )
    # Adam's epsilon and rounding: the loss is a mean over more images.
    assert int((alone - whole).abs().max()) <= 1
    assert int((alone - pairs).abs().max()) <= 1
    # The batch's statistics make a difference: two images a class are not one batch of six.
    assert (
        int((alone - made(SRe2L(**{**settings, "statistics_weight": 0.0}), images_per_class=3).images).abs().max()) > 3
    )


def test_the_first_layer_counts_more_where_asked():
    network = trained_network()

    def first_distance(weight):
        distiller = SRe2L(num_steps=30, jitter=0, statistics_weight=0.3, first_layer_weight=weight)
        images = made(distiller, [network], images_per_class=1).images
        with torch.no_grad(), ChannelStatistics(network.eval()) as seen:
            network(real_images().normalised(images))
            return float(batch_moments(seen.inputs[0]).distance(seen.running()[0]))

    assert first_distance(100.0) < 0.5 * first_distance(0.0)


def test_several_networks_leave_their_mark():
    networks = [trained_network(), trained_network(1)]
    both = made(SRe2L(num_steps=4), networks)
    assert both != made(SRe2L(num_steps=4), networks[:1])
    assert both.provenance["num_networks"] == 2


def test_progress_and_provenance():
    steps = []
    distilled = made(
        SRe2L(num_steps=3, batch_size=6), images_per_class=3, on_step=lambda *step: steps.append(step), seed=4
    )
    assert steps == [(done, 6) for done in range(1, 7)]
    assert distilled.provenance["method"] == "sre2l"
    assert distilled.provenance["seed"] == 4
    assert distilled.provenance["num_repeated"] == [0, 0, 0]
    assert distilled.provenance["settings"] == SRe2L(num_steps=3, batch_size=6).settings()


@pytest.mark.parametrize(
    ("setting", "error", "text"),
    [
        ({"num_steps": 0}, ValueError, "`num_steps` must be an integer >= 1; got 0"),
        ({"learning_rate": -1.0}, ValueError, "`learning_rate` must be a finite number > 0; got -1.0"),
        ({"statistics_weight": -0.1}, ValueError, "`statistics_weight` must be a finite number >= 0; got -0.1"),
        ({"first_layer_weight": -1.0}, ValueError, "`first_layer_weight` must be a finite number >= 0; got -1.0"),
        ({"jitter": 1.5}, TypeError, "`jitter` must be an integer >= 0; got 1.5"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer >= 1; got 0"),
        ({"autocast": "bf16"}, TypeError, "`autocast` must be True or False; got 'bf16'"),
    ],
)
def test_settings_out_of_range_are_refused(setting, error, text):
    with pytest.raises(error, match=text):
        SRe2L(**setting)
