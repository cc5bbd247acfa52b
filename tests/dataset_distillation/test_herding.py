import numpy as np
import pytest
import torch
from small_world import COUNTS, is_same_state, real_images, state_of, trained_network
from torch import nn

from lt_callbacks.dataset_distillation import Herding
from lt_callbacks.dataset_distillation.herding import herd


def features(num_samples=40, num_features=6, seed=0):
    return torch.randn(num_samples, num_features, generator=torch.Generator().manual_seed(seed)) * 2 + 5


def herd_by_hand(values, num_chosen):
    """Every candidate of every step tried in float64."""
    values = values.double().numpy()
    wanted, chosen = values.mean(axis=0), []
    for _ in range(num_chosen):
        best, smallest = None, np.inf
        for candidate in range(len(values)):
            if candidate in chosen:
                continue
            distance = np.linalg.norm(values[[*chosen, candidate]].mean(axis=0) - wanted)
            if distance < smallest:
                best, smallest = candidate, distance
        chosen.append(best)
    return chosen


@pytest.mark.parametrize("seed", range(3))
def test_choices_equal_a_search_by_hand(seed):
    values = features(seed=seed)
    assert herd(values, 25).tolist() == herd_by_hand(values, 25)


def test_no_sample_is_chosen_twice():
    # Greedy search alone would take the middle one of these again and again.
    values = torch.tensor([[-1.0], [-0.9], [0.0], [0.9], [1.0]])
    assert sorted(herd(values, 5).tolist()) == [0, 1, 2, 3, 4]
    assert sorted(herd(torch.zeros(4, 3), 4).tolist()) == [0, 1, 2, 3]


def test_the_mean_comes_closer_than_that_of_random_samples():
    values = features(num_samples=60)

    def distance(chosen):
        return float((values[chosen].mean(dim=0) - values.mean(dim=0)).norm())

    by_number = [distance(herd(values, number)) for number in (1, 5, 20, 60)]
    assert by_number[0] > 2 * by_number[1] > 4 * by_number[2] > by_number[3]
    assert by_number[3] < 1e-5
    at_random = [distance(torch.randperm(60, generator=torch.Generator().manual_seed(s))[:5]) for s in range(50)]
    assert by_number[1] < min(at_random)


def test_images_are_herded_in_the_features_of_the_first_network():
    real, network = real_images(), trained_network()
    before = state_of(network)
    distilled = Herding(batch_size=4).distil(real, [network, trained_network(1)], images_per_class=6, seed=0)
    assert is_same_state(network, before)
    embedded = network.eval().features(real.normalised(real.pixels)).detach()
    logits = network(real.normalised(real.pixels)).detach()
    for label in range(2):
        own = (real.labels == label).nonzero().flatten()
        chosen = own[herd_by_hand(embedded[own], 6)]
        assert torch.equal(distilled.images[distilled.intended_class == label], real.pixels[chosen])
        assert chosen.tolist() != own[herd_by_hand(logits[own], 6)].tolist()
    assert distilled.intended_class.tolist() == [0] * 6 + [1] * 6 + [2] * 6


def test_a_network_without_features_is_herded_in_its_logits():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = trained_network()

        def forward(self, images):
            return self.inside(images)

    real, network = real_images(), Plain()
    distilled = Herding().distil(real, [network], images_per_class=3, seed=0)
    logits = network.eval()(real.normalised(real.pixels)).detach()
    own = (real.labels == 0).nonzero().flatten()
    assert torch.equal(distilled.images[:3], real.pixels[own[herd_by_hand(logits[own], 3)]])


def test_a_small_class_is_taken_whole_again_and_again():
    real = real_images()
    steps = []
    distilled = Herding().distil(
        real, [trained_network()], images_per_class=5, seed=0, on_step=lambda *step: steps.append(step)
    )
    own = real.pixels[real.labels == 2]
    found = distilled.images[distilled.intended_class == 2]
    assert len(own) == COUNTS[2] == 2
    assert torch.equal(found[:2], found[2:4])
    assert torch.equal(found[0], found[4])
    assert {tuple(image.flatten().tolist()) for image in found} == {tuple(image.flatten().tolist()) for image in own}
    assert distilled.provenance["num_repeated"] == [0, 0, 3]
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_the_batch_size_changes_nothing_and_is_checked():
    real, network = real_images(), trained_network()
    first, second = (Herding(batch_size=n).distil(real, [network], images_per_class=4, seed=0) for n in (1, 512))
    assert first == second
    with pytest.raises(ValueError, match="`batch_size` must be an integer >= 1; got 0"):
        Herding(batch_size=0)
