from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from lt_callbacks._class_folders import PICTURE_ENDINGS, class_folders, class_pictures


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(folder: Path, class_names: list[str], **options: object) -> list[list[str]]:
    """Paths from ``folder``, by class."""
    found = class_pictures(folder, class_names, argument="root", **options)
    return [[path.relative_to(folder).as_posix() for path in paths] for paths in found]


def test_classes_are_visible_folders_by_name(tmp_path: Path):
    for name in ("b", "a", ".hidden", "C", "__MACOSX", "@eaDir", "$RECYCLE.BIN"):
        (tmp_path / name).mkdir()
    touch(tmp_path / "file.txt")
    (tmp_path / "linked").symlink_to(tmp_path / "a")
    assert class_folders(tmp_path, argument="root") == ["C", "a", "b", "linked"]
    assert class_folders(tmp_path / "nowhere", argument="root") == []


def test_pictures_come_by_path_at_any_depth_whatever_the_case_of_their_ending(tmp_path: Path):
    files = ["b.PNG", "a.jpg", "deep/c.JPeG", "deep-er/c.gif", "deep/a/z.tif", "deep.webp"]
    touch(*(tmp_path / "cat" / name for name in files), tmp_path / "ant" / "0.bmp")
    # "-" sorts before ".", and that before "/".
    expected = ["a.jpg", "b.PNG", "deep-er/c.gif", "deep.webp", "deep/a/z.tif", "deep/c.JPeG"]
    assert names(tmp_path, ["cat", "ant"]) == [[f"cat/{name}" for name in expected], ["ant/0.bmp"]]


@pytest.mark.parametrize("ending", PICTURE_ENDINGS)
def test_every_ending_counts(tmp_path: Path, ending: str):
    touch(tmp_path / "cat" / f"x{ending}")
    assert names(tmp_path, ["cat"]) == [[f"cat/x{ending}"]]


@pytest.mark.parametrize(
    "name",
    [
        ".hidden.png",
        "._07.png",
        ".ipynb_checkpoints/copy.png",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "Desktop.ini",
        "__MACOSX/x.png",
        "more/@eaDir/x.png/thumb.jpg",
        "#recycle/x.png",
    ],
)
def test_hidden_files_and_what_systems_leave_do_not_count_and_are_not_said(tmp_path: Path, name: str):
    touch(tmp_path / "cat" / "0.png", tmp_path / "cat" / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names(tmp_path, ["cat"]) == [["cat/0.png"]]


def test_a_folder_with_the_ending_of_a_picture_is_a_folder(tmp_path: Path):
    touch(tmp_path / "cat" / "folder.png" / "0.png")
    assert names(tmp_path, ["cat"]) == [["cat/folder.png/0.png"]]


def test_files_that_are_left_out_are_counted_in_one_warning(tmp_path: Path):
    left_out = ["cat/IMG.HEIC", "cat/more/x.heic", "dog/notes.txt", "dog/LICENSE", "loose.png"]
    touch(tmp_path / "cat" / "0.png", tmp_path / "dog" / "0.png", *(tmp_path / name for name in left_out))
    touch(tmp_path / "image_folder.json")
    message = r"5 files in .* are left out \(2 \.heic, 1 \.png, 1 \.txt, 1 without an ending\), such as .*loose.png: an"
    with pytest.warns(UserWarning, match=message) as caught:
        assert names(tmp_path, ["cat", "dog"]) == [["cat/0.png"], ["dog/0.png"]]
    assert len(caught) == 1


def test_linked_folders_count_each_real_one_once(tmp_path: Path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    touch(root / "cat" / "0.png", root / "cat" / "own" / "1.png", elsewhere / "2.png", elsewhere / "deep" / "3.png")
    (root / "cat" / "a").symlink_to(root / "cat" / "own")
    (root / "cat" / "b").symlink_to(elsewhere / "deep")
    (root / "cat" / "c").symlink_to(elsewhere)
    (root / "cat" / "d").symlink_to(elsewhere)
    (root / "cat" / "link.png").symlink_to(elsewhere / "2.png")
    expected = ["cat/0.png", "cat/b/3.png", "cat/c/2.png", "cat/link.png", "cat/own/1.png"]
    assert names(root, ["cat"]) == [expected]


@pytest.mark.parametrize("target", [".", "..", "../..", "../../.."])
def test_a_link_to_a_folder_above_neither_hangs_nor_takes_other_classes_in(tmp_path: Path, target: str):
    touch(tmp_path / "root" / "cat" / "deep" / "0.png", tmp_path / "root" / "dog" / "0.png")
    (tmp_path / "root" / "cat" / "deep" / "loop").symlink_to(target)
    assert names(tmp_path / "root", ["cat", "dog"]) == [["cat/deep/0.png"], ["dog/0.png"]]


def test_what_lies_above_a_linked_class_is_above_it(tmp_path: Path):
    touch(
        tmp_path / "root" / "dog" / "0.png",
        tmp_path / "elsewhere" / "cats" / "0.png",
        tmp_path / "elsewhere" / "no.png",
    )
    (tmp_path / "root" / "cat").symlink_to(tmp_path / "elsewhere" / "cats")
    (tmp_path / "elsewhere" / "cats" / "up").symlink_to("..")
    assert names(tmp_path / "root", ["cat", "dog"]) == [["cat/0.png"], ["dog/0.png"]]


def test_links_that_lead_to_one_another_do_not_hang(tmp_path: Path):
    touch(tmp_path / "root" / "cat" / "0.png", tmp_path / "x" / "1.png", tmp_path / "y" / "2.png")
    (tmp_path / "root" / "cat" / "x").symlink_to(tmp_path / "x")
    (tmp_path / "x" / "y").symlink_to(tmp_path / "y")
    (tmp_path / "y" / "x").symlink_to(tmp_path / "x")
    assert names(tmp_path / "root", ["cat"]) == [["cat/0.png", "cat/x/1.png", "cat/x/y/2.png"]]


def test_a_class_folder_may_be_a_link(tmp_path: Path):
    touch(tmp_path / "elsewhere" / "deep" / "0.png", tmp_path / "root" / "dog" / "0.png")
    (tmp_path / "root" / "cat").symlink_to(tmp_path / "elsewhere")
    assert class_folders(tmp_path / "root", argument="root") == ["cat", "dog"]
    assert names(tmp_path / "root", ["cat", "dog"]) == [["cat/deep/0.png"], ["dog/0.png"]]


def test_one_folder_cannot_be_in_two_classes(tmp_path: Path):
    touch(tmp_path / "cat" / "0.png", tmp_path / "dog" / "0.png")
    (tmp_path / "dog" / "more").symlink_to(tmp_path / "cat")
    with pytest.raises(
        ValueError,
        match=r"`root` must have every image in one class, .*; got one folder as .*cat and as .*dog.more\. Re",
    ):
        names(tmp_path, ["cat", "dog"])


@pytest.mark.parametrize("name", ["gone.png", "gone", "self"])
def test_a_link_to_nothing_is_named(tmp_path: Path, name: str):
    touch(tmp_path / "cat" / "0.png")
    (tmp_path / "cat" / name).symlink_to(tmp_path / "cat" / "self" if name == "self" else tmp_path / "nothing")
    with pytest.raises(
        FileNotFoundError, match=rf"`root` must hold links that lead somewhere; got .*cat.{name}, which .* Bring back"
    ):
        names(tmp_path, ["cat"])
    with pytest.raises(FileNotFoundError, match="which leads to nothing"):
        class_folders(tmp_path / "cat", argument="root")


def test_classes_without_pictures_are_named_unless_they_may_be_empty(tmp_path: Path):
    touch(tmp_path / "cat" / "0.png")
    (tmp_path / "dog").mkdir()
    with pytest.raises(
        ValueError,
        match=r"`root` must hold an image for every class; got .*dog, .*eel, without a file ending in \.avif",
    ):
        names(tmp_path, ["cat", "dog", "eel"])
    assert names(tmp_path, ["cat", "dog", "eel"], may_be_empty=True) == [["cat/0.png"], [], []]


@pytest.mark.parametrize(("num_empty", "end"), [(5, "4"), (7, "4 and 2 more")])
def test_of_many_classes_without_pictures_five_are_named(tmp_path: Path, num_empty: int, end: str):
    with pytest.raises(ValueError, match=rf"got .*/0, .*/1, .*/2, .*/3, .*/{end}, without a file"):
        names(tmp_path, [str(number) for number in range(num_empty)])


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path):
    # Too deep for the system to open by its path, for the administrator too.
    touch(tmp_path / "cat" / "0.png")
    opened = os.open(tmp_path / "cat", os.O_RDONLY)
    try:
        for _ in range(20):
            os.mkdir("x" * 250, dir_fd=opened)  # noqa: PTH102
            below = os.open("x" * 250, os.O_RDONLY, dir_fd=opened)
            os.close(opened)
            opened = below
    finally:
        os.close(opened)
    with pytest.raises(
        PermissionError, match=r"`root` must hold folders that can be read; got the error '.*' at .*xxx"
    ):
        names(tmp_path, ["cat"])
