from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

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


def test_a_hidden_folder_above_the_root_does_not_hide_it(root: Path, tmp_path: Path):
    (tmp_path / ".cache").mkdir()
    root.rename(tmp_path / ".cache" / "own")
    assert len(image_folder(root=tmp_path / ".cache" / "own", image_size=8).train) == 12


def test_a_folder_that_is_called_by_a_dot_has_its_own_name(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(root)
    assert image_folder(root=".", image_size=8).name == "own"


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
        r"`root` must hold image files in a folder a class, .*train.CLASS.\*\.png or CLASS/.* no folder in .*\. Put the"
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
        match=r"`root` must hold an image for every class; got .*eel, without a file ending in .avif, .*Add",
    ):
        image_folder(root=root, image_size=8)
    (root / "train" / "eel").rmdir()
    write_image(root / "test" / "fox" / "0.png")
    with pytest.raises(ValueError, match=r"`root` must have no class in 'test' that 'train' has not; got .*fox. Add"):
        image_folder(root=root, image_size=8)


def test_without_train_the_classes_are_the_folders_of_the_root(root: Path):
    flat = image_folder(root=root / "train", image_size=8)
    split = image_folder(root=root, image_size=8)
    assert flat.class_names == ("ant", "cat", "dog")
    assert flat.name == "train"
    assert flat.train.images == split.train.images
    assert flat.train.labels.tolist() == split.train.labels.tolist()
    assert flat.test is None


@pytest.mark.parametrize("name", ["Train", "val", "test", "validation"])
def test_parts_of_other_names_are_not_taken_for_classes(root: Path, name: str):
    (root / "test").rename(root / "other")
    (root / "train").rename(root / name)
    with pytest.raises(
        ValueError, match=rf"`root` must hold its training images under 'train' .*; got .*own.{name} and no .*Rename"
    ):
        image_folder(root=root, image_size=8)


def test_folders_beside_train_and_test_are_said_to_be_left_out(root: Path, write_image: Write):
    write_image(root / "val" / "cat" / "0.png")
    with pytest.warns(UserWarning, match=r"Of .*own the folders train and test are read; these are not: val\."):
        image_folder(root=root, image_size=8)


def test_one_class_is_refused(tmp_path: Path, write_image: Write):
    write_image(tmp_path / "only" / "0.png")
    with pytest.raises(ValueError, match=r"`root` must hold two classes or more, which .*; got '.*only' alone. Put"):
        image_folder(root=tmp_path, image_size=8)


@pytest.mark.parametrize("names", [(), ("cat",), ("ant", "cat", "dog")])
def test_a_test_folder_without_images_is_refused(root: Path, names: tuple[str, ...]):
    (root / "test").rename(root.parent / "away")
    for name in names:
        (root / "test" / name).mkdir(parents=True)
    (root / "test").mkdir(exist_ok=True)
    with pytest.raises(
        ValueError, match=r"`root` must hold test images where it has a folder for them; got .*test, without .*Add them"
    ):
        image_folder(root=root, image_size=8)


@pytest.mark.parametrize("keep_folder", [True, False])
def test_a_class_without_test_images_is_said(root: Path, keep_folder: bool):
    (root / "test" / "cat" / "01.png").unlink()
    if not keep_folder:
        (root / "test" / "cat").rmdir()
    with pytest.warns(
        UserWarning, match=r"test has no image of 1 of 3 classes, which no score of the test counts: cat\."
    ):
        source = image_folder(root=root, image_size=8)
    assert source.test.labels.tolist() == [0, 2]


def test_what_is_in_order_is_read_without_a_warning(root: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image_folder(root=root, image_size=8)


@pytest.mark.parametrize("link", ["test", "test/cat", "test/cat/more"])
def test_training_images_are_not_linked_into_the_test(root: Path, link: str):
    for path in sorted((root / link).rglob("*"), reverse=True) if (root / link).is_dir() else []:
        path.rmdir() if path.is_dir() else path.unlink()
    if (root / link).is_dir():
        (root / link).rmdir()
    target = root / "train" if link == "test" else root / "train" / "cat"
    (root / link).symlink_to(target)
    with pytest.raises(
        ValueError, match=r"`root` must have every image in one class, and either in training or in the test; got one"
    ):
        image_folder(root=root, image_size=8)


def test_files_of_several_pages_are_said_and_damaged_ones_named_before_training(root: Path):
    pages = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    pages[0].save(root / "train" / "cat" / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.warns(UserWarning, match=r"Only the first frame or page of a file is read; 1 have .*pages\.tif\."):
        image_folder(root=root, image_size=8)
    (root / "test" / "cat" / "x.gif").write_bytes(b"")
    with pytest.raises(ValueError, match=r"x\.gif must be an image file that Pillow can decode"):
        image_folder(root=root, image_size=8)


def test_batches_hold_pictures_as_a_person_sees_them(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 3
    upright = np.zeros((8, 8, 3), dtype=np.uint8)
    upright[:4] = 200
    for part in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / part / name).mkdir(parents=True)
        Image.fromarray(np.ascontiguousarray(upright[::-1])).save(tmp_path / part / "a" / "0.png", exif=exif)
        Image.fromarray(upright[..., 0].astype(np.uint16) * 257).save(tmp_path / part / "b" / "0.tif")
    source = image_folder(root=tmp_path, image_size=8, crop_padding=1, flip=False)
    module = LongTailedDataModule(source=source, num_workers=1, batch_size=2, validation_fraction=0)
    images, labels, _ = next(iter(module.test_dataloader()))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (source.mean, source.std))
    expected = (torch.from_numpy(upright).permute(2, 0, 1) / 255 - mean) / std
    assert labels.tolist() == [0, 1]
    for image in images:
        torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)
