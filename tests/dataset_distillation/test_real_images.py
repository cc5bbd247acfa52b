import numpy as np
import pytest
import torch
from numbered_images import numbered_images, numbers_in
from small_world import COUNTS, MEAN, NAMES, STD, real_images

from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import ImageSet, LongTailedDataModule, Source
from lt_callbacks.dataset_distillation import RealImages
from lt_callbacks.dataset_distillation.real_images import as_json


def drawn(real, images_per_class, seed=0):
    """Class -> positions, and the repeats."""
    positions, classes, num_repeated = real.draw(images_per_class, seed=seed)
    assert classes.tolist() == [label for label in range(3) for _ in range(images_per_class)]
    return {label: positions[classes == label].tolist() for label in range(3)}, num_repeated.tolist()


def test_a_draw_is_a_function_of_the_seed_and_touches_no_other():
    real = real_images()
    torch.manual_seed(1)
    first, state = drawn(real, 5, seed=3), torch.get_rng_state()
    torch.manual_seed(2)
    assert drawn(real, 5, seed=3) == first
    torch.manual_seed(1)
    drawn(real, 5, seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    assert len({tuple(drawn(real, 5, seed=seed)[0][0]) for seed in range(8)}) == 8


@pytest.mark.parametrize("images_per_class", [1, 2, 7, 9, 20, 60])
def test_samples_of_a_class_without_replacement_and_all_of_them_before_any_repeat(images_per_class):
    real = real_images()
    found, num_repeated = drawn(real, images_per_class)
    for label, positions in found.items():
        count = COUNTS[label]
        assert bool((real.labels[positions] == label).all())
        rounds = [positions[at : at + count] for at in range(0, images_per_class, count)]
        assert all(len(set(part)) == len(part) for part in rounds)
        assert num_repeated[label] == images_per_class - len(set(positions)) == max(0, images_per_class - count)


def test_every_sample_has_its_chance():
    real = real_images()
    seen = {position for seed in range(60) for position in drawn(real, 2, seed=seed)[0][1]}
    assert seen == set((real.labels == 1).nonzero().flatten().tolist())


def test_pixels_are_normalised_as_the_statistics_say():
    real = real_images()
    mean, std = np.array(MEAN).reshape(1, 2, 1, 1), np.array(STD).reshape(1, 2, 1, 1)
    expected = (real.pixels.numpy().astype(np.float64) / 255 - mean) / std
    found = real.normalised(real.pixels)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(real.normalised(real.pixels.double() / 255), expected, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 6, 35, 100])
def test_batches_hold_all_samples_in_order(batch_size):
    real = real_images()
    batches = list(real.batches(batch_size))
    assert [len(labels) for _, labels in batches][:-1] == [batch_size] * (len(batches) - 1)
    assert torch.equal(torch.cat([labels for _, labels in batches]), real.labels)
    assert torch.equal(torch.cat([images for images, _ in batches]), real.normalised(real.pixels))


def numbered_source(images=None) -> Source:
    labels = np.tile(np.arange(3), 60)
    return Source(
        name="numbered",
        train=ImageSet(images=numbered_images(180) if images is None else images, labels=labels),
        class_names=NAMES,
        mean=(0.0, 0.0),
        std=(1.0, 1.0),
        image_size=4,
    )


def test_a_data_module_gives_what_it_trains_on_with_given_labels():
    datamodule = LongTailedDataModule(
        source=numbered_source(),
        imbalance=Imbalance(factor=5),
        noise=Noise(kind="symmetric", ratio=0.4),
        validation_fraction=0.25,
    )
    real = RealImages.of(datamodule)
    in_source = datamodule.manifest.indices[datamodule.train_indices]
    held_out = datamodule.manifest.indices[datamodule.val_indices]
    found = numbers_in(real.normalised(real.pixels))
    assert found == in_source.tolist()
    assert len(held_out) > 0
    assert not set(found) & set(held_out.tolist())
    assert real.labels.tolist() == datamodule.given_labels[datamodule.train_indices].tolist()
    assert real.labels.tolist() != datamodule.true_labels[datamodule.train_indices].tolist()
    assert real.class_counts.tolist() == datamodule.class_counts.tolist()
    assert (real.class_names, real.mean, real.std) == (NAMES, (0.0, 0.0), (1.0, 1.0))


def test_image_files_are_refused(tmp_path):
    from PIL import Image

    paths = tuple(tmp_path / f"{number}.png" for number in range(180))
    for path in paths:
        Image.new("RGB", (4, 4)).save(path)
    source = Source(
        name="my files",
        train=ImageSet(images=paths, labels=np.tile(np.arange(3), 60)),
        class_names=NAMES,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
        image_size=4,
    )
    with pytest.raises(TypeError, match="got 'my files', which has image files"):
        RealImages.of(LongTailedDataModule(source=source))


def test_a_class_without_an_image_is_named():
    with pytest.raises(ValueError, match=r"`labels` must hold every class.*got none of \['bee'\]"):
        real_images((5, 0, 3))
    # Noise may take the last label of a class away.
    with pytest.raises(ValueError, match=r"got none of \['ant', 'cat'\]"):
        real_images(labels=torch.ones(sum(COUNTS), dtype=torch.int64))


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"pixels": torch.zeros(35, 2, 8, 8)}, TypeError, r"`pixels` must be uint8.*got torch.float32, shape \(35, 2"),
        ({"pixels": np.zeros((35, 2, 8, 8), np.uint8)}, TypeError, "`pixels` must be uint8.*got ndarray"),
        ({"labels": torch.zeros(35)}, TypeError, "`labels` must be int64.*got torch.float32"),
        ({"labels": np.zeros(35, np.int64)}, TypeError, "`labels` must be int64.*got ndarray"),
        ({"labels": torch.arange(30) % 3}, ValueError, r"`labels` must be one a sample, \(35,\); got shape \(30,\)"),
        ({"labels": torch.arange(35) % 4}, ValueError, "`labels` must be in 0..2.*got 3 at position 3"),
        (
            {"labels": torch.arange(35) % 3 + 1},
            ValueError,
            "`labels` must be in 0..2.*got 3 .*They count from 1: subtract",
        ),
        ({"labels": torch.arange(35) % 3 - 1}, ValueError, "`labels` must be in 0..2.*got -1 at position 0"),
        ({"class_names": ("ant", "bee", "ant")}, ValueError, "`class_names` must be at least two different names"),
        ({"mean": (0.5,)}, ValueError, "`mean` must have one value a channel, 2; got 1"),
        ({"mean": (0.5, 127.0)}, ValueError, "`mean` must be .* <= 1; got 127.0"),
        ({"std": (0.5, 0.0)}, ValueError, "`std` must be a finite number > 0; got 0.0"),
    ],
)
def test_images_that_no_set_could_be_made_of_are_refused(changes, error, text):
    with pytest.raises(error, match=text):
        real_images(**changes)


def test_wrong_numbers_are_named():
    real = real_images()
    with pytest.raises(ValueError, match="`images_per_class` must be an integer >= 1; got 0"):
        real.draw(0, seed=0)
    with pytest.raises(TypeError, match="`seed` must be an integer >= 0; got 0.5"):
        real.draw(1, seed=0.5)
    with pytest.raises(ValueError, match="`batch_size` must be an integer >= 1; got 0"):
        next(real.batches(0))


def test_counts_become_plain_numbers():
    found = as_json(torch.tensor([3, 0, 2]))
    assert found == [3, 0, 2]
    assert all(type(count) is int for count in found)


def test_images_first_read_without_gradients_can_carry_one_later():
    real = real_images()
    with torch.inference_mode():
        first = real.normalised(real.pixels)
    pixels = (real.pixels.float() / 255).requires_grad_(True)
    real.normalised(pixels).square().sum().backward()
    assert torch.equal(real.normalised(real.pixels), first)
    std = torch.tensor(real.std).view(1, -1, 1, 1)
    torch.testing.assert_close(pixels.grad, 2 * first / std, atol=1e-4, rtol=1e-4)
