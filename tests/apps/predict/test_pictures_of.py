from __future__ import annotations

from pathlib import Path

import pytest

from lt_callbacks.apps.predict.pictures_of import pictures_of


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_a_folder_is_searched_to_any_depth_in_order(tmp_path):
    touch(
        tmp_path,
        "b.png",
        "a/2.JPG",
        "a/1.webp",
        "a/deep/x.tiff",
        "notes.txt",
        ".hidden.png",
        ".git/y.png",
        "a/._1.webp",
    )
    found = pictures_of(tmp_path)
    assert [Path(name).relative_to(tmp_path).as_posix() for name, _ in found] == [
        "a/1.webp",
        "a/2.JPG",
        "a/deep/x.tiff",
        "b.png",
    ]
    assert all(str(path) == name for name, path in found)


@pytest.mark.parametrize("name", ["table.csv", "TABLE.CSV"])
def test_a_table_is_read_as_that_of_the_training_is(tmp_path, name):
    """What `data=csv_file` reads, labels or not, can be asked about."""
    (tmp_path / name).write_bytes("path;label\r\nsub/a.png;cat\r\n".encode("utf-16"))
    assert pictures_of(tmp_path / name) == [("sub/a.png", tmp_path / "sub" / "a.png")]


def test_one_picture_is_one(tmp_path):
    # Whatever its ending: it was named.
    touch(tmp_path, "photo.jpe")
    assert pictures_of(tmp_path / "photo.jpe") == [(str(tmp_path / "photo.jpe"), tmp_path / "photo.jpe")]


def test_the_paths_of_a_table_start_from_its_folder_and_are_called_as_written(tmp_path):
    (tmp_path / "table.csv").write_bytes(
        '\ufeffname, path ,label\r\nx,"sub, one/a.png",3\r\nz,"c ""d"".png",1\r\n'.encode()
    )
    assert pictures_of(tmp_path / "table.csv") == [
        ("sub, one/a.png", tmp_path / "sub, one" / "a.png"),
        ('c "d".png', tmp_path / 'c "d".png'),
    ]


def test_the_paths_of_a_table_leave_its_folder_where_they_are_said_to_start_from_another(tmp_path):
    for path in ("/abs/b.png", "../b.png"):
        (tmp_path / "table.csv").write_text(f"path\na.png\n{path}\n")
        with pytest.raises(
            ValueError, match=rf"`images` must name files in its own folder.*; got '{path}' in .*line 3"
        ):
            pictures_of(tmp_path / "table.csv")
        assert pictures_of(tmp_path / "table.csv", root=Path("/there")) == [
            ("a.png", Path("/there/a.png")),
            (path, Path("/there") / path),
        ]


def test_a_root_is_for_tables_only(tmp_path):
    touch(tmp_path, "a.png")
    for given in (tmp_path, tmp_path / "a.png"):
        with pytest.raises(ValueError, match="`root` must be left out but for a CSV file; got '/there' for .*. Remove"):
            pictures_of(given, root=Path("/there"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"file,label\na.png,1\n", "`images` must have the column 'path' in its first line; got file, label in"),
        (b"path,path\na,b\n", "must have one column 'path'; got 2 of them"),
        (b"", "got nothing in"),
        (b"path\n", "must list at least one image; got .*, which has none below its header"),
        (b"path,label\na.png,1\n,2\n", "must have a path in every line; got .*table.csv, line 3, which lacks one"),
        (b"path\nb\xff.png\n", "must be a CSV file in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path, content, message):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        pictures_of(tmp_path / "table.csv")


def test_a_place_without_pictures_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="`images` must be a picture, a folder .* got '.*nowhere', which does not"
    ):
        pictures_of(tmp_path / "nowhere")
    touch(tmp_path, "notes.txt")
    with pytest.raises(ValueError, match=r"`images` must hold pictures; got .* which has no file ending in \.avif, "):
        pictures_of(tmp_path)
