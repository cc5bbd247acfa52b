import torch
from small_world import COUNTS, real_images

from lt_callbacks.dataset_distillation import RandomReal


def test_images_are_the_drawn_ones_bit_by_bit():
    real = real_images()
    positions, classes, _ = real.draw(4, seed=9)
    steps = []
    distilled = RandomReal().distil(real, [], images_per_class=4, seed=9, on_step=lambda *step: steps.append(step))
    assert torch.equal(distilled.images, real.pixels[positions])
    assert torch.equal(distilled.intended_class, classes)
    assert distilled.class_counts.tolist() == [4, 4, 4]
    assert steps == [(1, 1)]


def test_every_image_is_one_of_its_class():
    real = real_images()
    distilled = RandomReal().distil(real, [], images_per_class=5, seed=1)
    for image, label in zip(distilled.images, distilled.intended_class, strict=True):
        assert bool((real.pixels[real.labels == label] == image).flatten(1).all(dim=1).any())


def test_the_seed_decides_and_repeats_are_recorded():
    real = real_images()
    first, again, other = (RandomReal().distil(real, [], images_per_class=3, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first.provenance["num_repeated"] == [max(0, 3 - count) for count in COUNTS] == [0, 0, 1]
