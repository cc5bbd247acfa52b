from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_run import tiny_distill_config, write_image_files

from lt_callbacks.apps.config.build import build_datamodule, build_source
from lt_callbacks.apps.distill.removed_images import removed_images


@pytest.fixture(scope="module")
def datamodule(tmp_path_factory):
    config = tiny_distill_config(
        tmp_path_factory.mktemp("removed"), "noise=symmetric", "noise.ratio=0.4", "data.validation_fraction=0.2",
        "data.augment=true", "data.eval_batch_size=100",
    )  # fmt: skip
    return build_datamodule(config, build_source(config.data), seed=0)


@pytest.fixture(scope="module")
def batches(datamodule):
    return list(removed_images(datamodule))


def bytes_of(images, source):
    """Pixels of normalised images, one string each."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (source.mean, source.std))
    return [image.tobytes() for image in ((images * std + mean) * 255).round().to(torch.uint8).numpy()]


def test_all_images_that_the_imbalance_removed_are_there_once_with_true_labels(datamodule, batches):
    source = datamodule.source
    images, labels, positions = (torch.cat(parts) for parts in zip(*batches, strict=True))
    kept = set(datamodule.manifest.indices.tolist())
    assert sorted(positions.tolist()) == [at for at in range(len(source.train)) if at not in kept]
    assert labels.tolist() == source.train.labels[positions].tolist()
    stored = [image.tobytes() for image in source.train.images[positions].numpy()]
    assert bytes_of(images, source) == stored


def test_none_is_trained_on_or_held_out_or_of_the_test_set(datamodule, batches):
    source = datamodule.source
    found = {pixels for images, *_ in batches for pixels in bytes_of(images, source)}
    assert datamodule.val_indices.size
    for others in (source.train.images[torch.tensor(datamodule.manifest.indices)], source.test.images):
        assert not found & {image.tobytes() for image in others.numpy()}


def test_they_come_in_batches_of_the_size_for_scoring(batches):
    assert [len(images) for images, *_ in batches[:-1]] == [100] * (len(batches) - 1)
    assert batches[0][0].dtype == torch.float32


def test_the_largest_class_lost_none(datamodule, batches):
    labels = torch.cat([label for _, label, _ in batches])
    head = int(np.argmax(datamodule.true_class_counts))
    assert head not in labels.tolist()
    assert set(labels.tolist()) == set(range(10)) - {head}


def test_where_nothing_was_removed_nothing_can_be_scored(tmp_path):
    config = tiny_distill_config(tmp_path, "imbalance=none", "imbalance.factor=1")
    datamodule = build_datamodule(config, build_source(config.data), seed=0)
    expected = r"^`score_on` must be 'test' where .*; got 'removed' with 0 left out of 'digits'\. "
    with pytest.raises(ValueError, match=expected):
        removed_images(datamodule)


def test_image_files_are_not_scored(tmp_path):
    root = write_image_files(tmp_path / "pets")
    config = tiny_distill_config(
        tmp_path,
        "data=image_folder",
        "imbalance=exponential",
        f"data.root={root}",
        "data.image_size=8",
        "imbalance.factor=3",
    )
    datamodule = build_datamodule(config, build_source(config.data), seed=0)
    assert len(datamodule.manifest) < 12
    with pytest.raises(
        ValueError, match=r"^`score_on` must be 'test' where the imbalance leaves no image in memory out"
    ):
        removed_images(datamodule)
