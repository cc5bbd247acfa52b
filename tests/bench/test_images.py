import numpy as np
import pytest
import torch

from lt_callbacks.bench.images import build_datamodule, build_source, made_up


def source(**changes):
    return made_up(**{"num_classes": 4, "num_train": 200, "num_test": 80, "seed": 0, **changes})


def test_images_are_made_up_by_seed():
    first, again, other = source(), source(), source(seed=1)
    assert first.train.images.shape == (200, 3, 32, 32)
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.train.images, other.train.images)
    assert np.bincount(first.test.labels).tolist() == [20] * 4


def test_classes_can_be_told_apart():
    """The nearest class mean is right more often than chance."""
    made = source(num_train=400)
    train, test = (part.images.float().flatten(1) for part in (made.train, made.test))
    means = torch.stack([train[torch.from_numpy(made.train.labels) == label].mean(dim=0) for label in range(4)])
    right = (torch.cdist(test, means).argmin(dim=1).numpy() == made.test.labels).mean()
    assert right > 0.5


def test_data_of_ones_own_come_from_a_file(tmp_path):
    images, labels = np.zeros((6, 8, 8, 3), dtype=np.uint8), np.arange(6) % 2
    images[::2] = 255
    np.savez(tmp_path / "mine.npz", train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    found = build_source(str(tmp_path / "mine.npz"), num_classes=10, num_train=1, num_test=1, seed=0)
    assert (found.name, found.num_classes, len(found.train)) == ("mine", 2, 6)


def test_a_folder_without_cifar_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="cifar-10-batches-py"):
        build_source(str(tmp_path), num_classes=10, num_train=1, num_test=1, seed=0)


def test_the_training_set_is_long_tailed_and_wrongly_labelled():
    data = build_datamodule(source(), batch_size=16, seed=0)
    assert data.residence == "device"
    assert data.true_class_counts[0] == 10 * data.true_class_counts[-1]
    assert 0.1 < (data.given_labels != data.true_labels).mean() < 0.3
