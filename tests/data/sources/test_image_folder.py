from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lt_callbacks.data import LongTailedDataModule, image_folder

Write = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path, write_image: Write) -> Path:
    for i in range(12):
        write_image(tmp_path / "own" / "train" / ("dog", "cat", "ant")[i % 3] / f"{i:02}.png", seed=i)
    for i in range(3):
        write_image(tmp_path / "own" / "test" / ("dog", "cat", "ant")[i % 3] / f"{i:02}.png", seed=100 + i)
    return tmp_path / "own"


def test_classes_are_the_folders_in_alphabetic_order(root: Path):
    source = image_folder(root=root, image_size=8)
    assert source.class_names == ("ant", "cat", "dog")
    assert source.name == "own"
    for part, num_images in ((source.train, 12), (source.test, 3)):
        assert len(part) == num_images
        for path, label in zip(part.images, part.labels, strict=True):
            assert path.parent.name == source.class_names[label]
    assert source.image_shape == (3, 8, 8)
    assert (source.crop_padding, source.flip) == (0, True)


def test_other_files_and_hidden_ones_are_left_alone(root: Path, write_image: Write):
    write_image(root / "train" / "cat" / ".ipynb_checkpoints" / "copy.png")
    write_image(root / "train" / "cat" / "._07.png")
    write_image(root / "train" / ".cache" / "x.png")
    (root / "train" / "cat" / "notes.txt").write_text("")
    (root / "train" / "README").write_text("")
    (root / "train" / "cat" / "folder.png").mkdir()
    source = image_folder(root=root, image_size=8)
    assert len(source.train) == 12
    assert source.class_names == ("ant", "cat", "dog")


def test_a_hidden_folder_above_the_root_does_not_hide_it(tmp_path: Path, write_image: Write):
    write_image(tmp_path / ".cache" / "own" / "train" / "a" / "0.PNG")
    assert len(image_folder(root=tmp_path / ".cache" / "own", image_size=8).train) == 1


def test_folders_inside_a_class_count_to_it(root: Path, write_image: Write):
    write_image(root / "train" / "cat" / "more" / "0.png")
    assert (image_folder(root=root, image_size=8).train.labels == 1).sum() == 5


def test_batches_are_decoded_and_test_images_are_never_trained_on(root: Path):
    module = LongTailedDataModule(
        source=image_folder(root=root, image_size=8), num_workers=0, batch_size=4, validation_fraction=0.25
    )
    images, labels, index = next(iter(module.train_dataloader()))
    assert (images.shape, images.dtype) == ((4, 3, 8, 8), torch.float32)
    assert labels.tolist() == module.given_labels[index].tolist()
    assert len(list(module.test_dataloader())[0][2]) == 3
    trained_on = {module.source.train.images[position] for position in module.manifest.indices}
    assert all("train" in path.parts for path in trained_on)


def test_the_test_set_may_be_left_out(root: Path):
    (root / "test").rename(root / "other")
    assert image_folder(root=root, image_size=8).test is None


def test_a_missing_folder_says_what_to_put_where(tmp_path: Path):
    message = (
        r"`root` must hold image files in a folder a class, .*train.CLASS.\*\.png; got none. Put the training images"
    )
    with pytest.raises(FileNotFoundError, match=message):
        image_folder(root=tmp_path, image_size=8)
    (tmp_path / "train").mkdir()
    with pytest.raises(FileNotFoundError, match=message):
        image_folder(root=tmp_path, image_size=8)


def test_an_empty_class_and_an_unknown_one_are_refused(root: Path, write_image: Write):
    (root / "train" / "eel").mkdir()
    with pytest.raises(
        ValueError,
        match=r"`root` must hold an image for every class; got .*eel, which has no file ending in .bmp, .*Add",
    ):
        image_folder(root=root, image_size=8)
    (root / "train" / "eel").rmdir()
    write_image(root / "test" / "fox" / "0.png")
    with pytest.raises(ValueError, match=r"`root` must have no class in 'test' that 'train' has not; got .*fox. Add"):
        image_folder(root=root, image_size=8)
