from __future__ import annotations

import re

import pytest
from PIL import Image

from lt_callbacks.data import digits, image_folder, readable_pictures
from lt_callbacks.data.readable_pictures import check_pictures


def folder_of(root, *, broken=()):
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (4, 4)).save(root / part / name / f"{number}.png")
    for path in broken:
        content = (root / path).read_bytes()
        (root / path).write_bytes(content[: len(content) // 2])
    return image_folder(root=root, image_size=4)


def test_damaged_pictures_are_named_together(tmp_path):
    """A damaged test picture was found when the training was over."""
    source = folder_of(tmp_path, broken=["test/cat/1.png", "train/dog/0.png"])
    named = f"got 2 that cannot: {tmp_path / 'test/cat/1.png'}, {tmp_path / 'train/dog/0.png'}. "
    with pytest.raises(ValueError, match=f"^`data` must hold pictures that can be read; {re.escape(named)}"):
        check_pictures(source)


def test_of_very_many_files_only_those_of_the_test_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(readable_pictures, "ALL_UP_TO", 12)
    with pytest.raises(ValueError, match="got 1 that cannot: .*0.png"):
        check_pictures(folder_of(tmp_path / "few", broken=["train/dog/0.png"]))
    monkeypatch.setattr(readable_pictures, "ALL_UP_TO", 11)
    check_pictures(folder_of(tmp_path / "a", broken=["train/dog/0.png"]))
    with pytest.raises(ValueError, match="got 1 that cannot: .*1.png"):
        check_pictures(folder_of(tmp_path / "b", broken=["test/dog/1.png"]))


def test_whole_pictures_and_images_in_memory_pass(tmp_path):
    check_pictures(folder_of(tmp_path))
    check_pictures(digits())
