from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.data import digits


def test_digits_are_the_bundled_images():
    from sklearn.datasets import load_digits

    source = digits()
    images = torch.cat([source.train.images, source.test.images]).squeeze(1).double() * 16 / 255
    # rounded to 0..255 and back; both parts together hold every bundled image
    restored = {tuple(image.round().flatten().long().tolist()) for image in images}
    assert restored == {tuple(image.flatten().astype(int)) for image in load_digits().images}
    assert source.train.images.max() == 255
    assert source.image_shape == (1, 8, 8)


def test_the_split_is_stratified_disjoint_and_the_same_for_everybody():
    source, again = digits(), digits()
    assert (len(source.train), len(source.test)) == (1198, 599)
    assert np.ptp(np.bincount(source.train.labels)) <= 7  # the bundled classes differ by up to 9
    assert torch.equal(source.test.images, again.test.images)
    np.testing.assert_array_equal(source.test.labels, again.test.labels)
    train, test = ({image.numpy().tobytes() for image in part.images} for part in (source.train, source.test))
    assert not train & test


def test_training_images_are_normalised():
    source = digits()
    scaled = source.train.images.double() / 255
    assert scaled.mean().item() == pytest.approx(source.mean[0], abs=1e-4)
    assert scaled.std().item() == pytest.approx(source.std[0], abs=1e-4)
    assert not source.flip


def test_share_of_the_test_set_is_a_setting():
    assert len(digits(test_fraction=0.5).test) == 898
    with pytest.raises(ValueError, match="`test_fraction` must be a finite number > 0 and <= 0.9; got 0"):
        digits(test_fraction=0)
