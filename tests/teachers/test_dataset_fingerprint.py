from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset
from user_project import FunctionDataset, images_and_labels

from lt_callbacks.teachers.dataset_fingerprint import dataset_fingerprint


class Arrays(Dataset):
    """As torchvision's CIFAR and MNIST keep their samples."""

    def __init__(self, data, targets, target_transform=None) -> None:
        self.data, self.targets, self.target_transform = data, targets, target_transform


class Files(Dataset):
    """As torchvision's ImageFolder keeps its samples."""

    def __init__(self, samples) -> None:
        self.samples = samples


IMAGES, LABELS = images_and_labels()
CHANGED = torch.where(torch.arange(24) == 23, LABELS + 1, LABELS)


def files(folder: Path, *, last: bytes = b"xyz", last_label: int = 1) -> Files:
    folder.mkdir()
    paths = [folder / f"{i}.png" for i in range(3)]
    for path in paths:
        path.write_bytes(last if path is paths[-1] else b"abc")
    return Files([(str(path), label) for path, label in zip(paths, (0, 0, last_label), strict=True)])


def test_equal_samples_have_equal_fingerprints():
    copied = TensorDataset(IMAGES.clone(), LABELS.clone())
    fingerprint = dataset_fingerprint(TensorDataset(IMAGES, LABELS))
    assert fingerprint == dataset_fingerprint(copied)
    assert len(fingerprint) == 64
    turned = TensorDataset(IMAGES.transpose(2, 3).contiguous().transpose(2, 3), LABELS)
    assert dataset_fingerprint(turned) == fingerprint


@pytest.mark.parametrize(
    "dataset",
    [
        TensorDataset(IMAGES + 1e-3, LABELS),
        TensorDataset(IMAGES, CHANGED),
        TensorDataset(IMAGES[:-1], LABELS[:-1]),
        TensorDataset(IMAGES.double(), LABELS),
        TensorDataset(IMAGES.flatten(1), LABELS),
        TensorDataset(LABELS, IMAGES),
        Subset(TensorDataset(IMAGES, LABELS), range(24)),
        Subset(TensorDataset(IMAGES, LABELS), range(23)),
        ConcatDataset([TensorDataset(IMAGES, LABELS), TensorDataset(IMAGES, LABELS)]),
    ],
)
def test_any_change_is_another_fingerprint(dataset):
    assert dataset_fingerprint(dataset) != dataset_fingerprint(TensorDataset(IMAGES, LABELS))


def test_a_subset_is_its_positions_in_order():
    whole = TensorDataset(IMAGES, LABELS)
    fingerprints = {dataset_fingerprint(Subset(whole, indices)) for indices in ([0, 1], [1, 0], [0, 2], [0])}
    assert len(fingerprints) == 4
    assert dataset_fingerprint(Subset(whole, [0, 1])) == dataset_fingerprint(Subset(whole, np.array([0, 1])))


@pytest.mark.parametrize("kind", [torch.Tensor, np.ndarray])
def test_datasets_with_data_and_targets(kind):
    data = IMAGES if kind is torch.Tensor else IMAGES.numpy()
    fingerprint = dataset_fingerprint(Arrays(data, LABELS.tolist()))
    # torchvision keeps targets as a list here and as a tensor there.
    assert fingerprint == dataset_fingerprint(Arrays(data, LABELS))
    assert fingerprint != dataset_fingerprint(Arrays(data, CHANGED.tolist()))
    assert fingerprint != dataset_fingerprint(Arrays(data + 1, LABELS.tolist()))


def test_datasets_of_files_are_known_by_content_and_label_wherever_they_lie(tmp_path):
    fingerprint = dataset_fingerprint(files(tmp_path / "a"))
    assert fingerprint == dataset_fingerprint(files(tmp_path / "b"))
    assert fingerprint != dataset_fingerprint(files(tmp_path / "c", last=b"xyzz"))
    assert fingerprint != dataset_fingerprint(files(tmp_path / "d", last=b"XYZ"))
    assert fingerprint != dataset_fingerprint(files(tmp_path / "e", last_label=2))


@pytest.mark.parametrize("dtype", [str, object])
def test_arrays_of_paths_are_files(tmp_path, dtype):
    samples = files(tmp_path / "a").samples
    paths, labels = np.array([path for path, _ in samples], dtype=dtype), [label for _, label in samples]
    fingerprint = dataset_fingerprint(Arrays(paths, labels))
    assert fingerprint == dataset_fingerprint(Files(samples))
    (tmp_path / "a" / "2.png").write_bytes(b"new")
    assert dataset_fingerprint(Arrays(paths, labels)) not in (None, fingerprint)
    assert dataset_fingerprint(Arrays(np.array(["a word", "another"], dtype=dtype), [0, 1])) is None
    assert dataset_fingerprint(Arrays(np.array([{}, {}], dtype=object), [0, 1])) is None


def test_exchanged_files_of_equal_size_are_other_data(tmp_path):
    dataset = files(tmp_path / "a")
    fingerprint = dataset_fingerprint(dataset)
    first, last = tmp_path / "a" / "0.png", tmp_path / "a" / "2.png"
    first.rename(tmp_path / "aside")
    last.rename(first)
    (tmp_path / "aside").rename(last)
    assert dataset_fingerprint(dataset) != fingerprint


@pytest.mark.parametrize(
    "dataset",
    [
        None,
        FunctionDataset(lambda position: (torch.zeros(4), 0)),
        Subset(FunctionDataset(lambda position: (torch.zeros(4), 0)), [0, 1]),
        ConcatDataset([TensorDataset(IMAGES, LABELS), FunctionDataset(lambda position: (torch.zeros(4), 0))]),
        # The labels that are trained on are not those that are kept.
        Arrays(IMAGES, LABELS.tolist(), target_transform=lambda label: 1 - label),
        Arrays([IMAGES], LABELS.tolist()),
        Files([(torch.zeros(2), 0)]),
        Files([("a.png", "cat")]),
        Files([("a sentence and its label", 0)]),
        Files([["a.png", 0]]),
        Files([]),
    ],
)
def test_other_kinds_have_none(dataset):
    assert dataset_fingerprint(dataset) is None
