from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lt_callbacks.data import LongTailedDataModule, csv_file


@pytest.fixture
def folder(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    for i in range(6):
        write_image(tmp_path / "images" / f"{i}.png", seed=i)
    return tmp_path


def write(folder: Path, *lines: str, name: str = "train.csv", header: str = "path,label") -> Path:
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_names_become_classes_in_alphabetic_order(folder: Path):
    train = write(folder, "images/0.png,dog", "images/1.png,cat", "images/2.png,dog")
    test = write(folder, "images/3.png,cat", name="test.csv")
    source = csv_file(train_csv=train, test_csv=test, image_size=8)
    assert source.class_names == ("cat", "dog")
    assert source.train.labels.tolist() == [1, 0, 1]
    assert source.train.images == tuple(folder / "images" / f"{i}.png" for i in range(3))
    assert source.test.labels.tolist() == [0]
    assert source.name == "train"


def test_integers_become_classes_in_the_order_of_the_numbers(folder: Path):
    train = write(folder, "images/0.png,10", "images/1.png,9", "images/2.png,2")
    source = csv_file(train_csv=train, image_size=8)
    assert source.class_names == ("2", "9", "10")
    assert source.train.labels.tolist() == [2, 1, 0]
    assert source.test is None


def test_what_spreadsheets_write_is_read(folder: Path):
    path = folder / "train.csv"
    rows = 'id,label,path\r\n1,"cat, small",images/0.png\r\n2, dog ,images/1.png\r\n'
    path.write_bytes(b"\xef\xbb\xbf" + rows.encode())
    source = csv_file(train_csv=path, image_size=8)
    assert source.class_names == ("cat, small", "dog")


def test_paths_start_from_the_root_where_one_is_given(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    elsewhere = tmp_path_factory.mktemp("lists")
    train = write(elsewhere, "0.png,a", f"{folder / 'images' / '1.png'},b")
    source = csv_file(train_csv=train, root=folder / "images", image_size=8)
    assert source.train.images == (folder / "images" / "0.png", folder / "images" / "1.png")


def test_batches_are_decoded(folder: Path):
    train = write(folder, *(f"images/{i}.png,{'ab'[i % 2]}" for i in range(6)))
    source = csv_file(train_csv=train, image_size=8, crop_padding=1, flip=False)
    module = LongTailedDataModule(source=source, num_workers=0, batch_size=3, validation_fraction=0)
    images, labels, index = next(iter(module.train_dataloader()))
    assert (images.shape, images.dtype) == ((3, 3, 8, 8), torch.float32)
    assert labels.tolist() == (index % 2).tolist()


def test_a_missing_table_is_named(folder: Path):
    with pytest.raises(
        FileNotFoundError, match="`train_csv` must be a CSV file; got .*no.csv, which is none. Check the path"
    ):
        csv_file(train_csv=folder / "no.csv", image_size=8)
    with pytest.raises(FileNotFoundError, match="`test_csv` must be a CSV file; got .*no.csv, which is none"):
        csv_file(train_csv=write(folder, "images/0.png,a"), test_csv=folder / "no.csv", image_size=8)


@pytest.mark.parametrize(
    ("lines", "header", "error", "message"),
    [
        (
            ["images/0.png,a"],
            "file,class",
            ValueError,
            "must have the columns 'path' and 'label' .*got file, class in .*train.csv. Add the",
        ),
        ([], "", ValueError, "must have the columns 'path' and 'label' in its first line; got nothing in .*train.csv"),
        (
            [],
            "path,label",
            ValueError,
            "`train_csv` must list at least one image; got .*train.csv, which has none below its header",
        ),
        (
            ["images/0.png,a", "images/1.png,"],
            "path,label",
            ValueError,
            "every line; got .*train.csv, line 3, which lacks one. Complete",
        ),
        (["images/0.png"], "path,label", ValueError, "a label in every line; got .*train.csv, line 2, which lacks one"),
        ([",a"], "path,label", ValueError, "must have a path and a label in every line; got .*line 2, which lacks one"),
        (
            ["images/0.png,a", "images/1.png,a", "images/9.png,b"],
            "path,label",
            FileNotFoundError,
            "`train_csv` must name files that exist; got .*9.png in .*train.csv, line 4. Correct the line, or",
        ),
    ],
)
def test_lines_that_do_not_fit_are_refused_with_their_number(
    folder: Path, lines: list[str], header: str, error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        csv_file(train_csv=write(folder, *lines, header=header), image_size=8)


def test_another_encoding_is_refused_by_name(folder: Path):
    path = folder / "train.csv"
    path.write_bytes("path,label\nimages/0.png,Kätzchen\n".encode("latin-1"))
    with pytest.raises(
        ValueError, match="`train_csv` must be a CSV file in UTF-8; got .*train.csv, which is not .* Save it again"
    ):
        csv_file(train_csv=path, image_size=8)


def test_an_unknown_test_label_is_refused_with_its_line(folder: Path):
    train = write(folder, "images/0.png,cat", "images/1.png,dog")
    test = write(folder, "images/2.png,cat", "images/3.png,cow", name="test.csv")
    with pytest.raises(
        ValueError,
        match="`test_csv` must have labels that occur in `train_csv`: cat, dog; got 'cow' in .*test.csv, line 3",
    ):
        csv_file(train_csv=train, test_csv=test, image_size=8)


def test_a_training_image_in_the_test_set_is_refused(folder: Path):
    train = write(folder, "images/0.png,cat", "images/1.png,dog")
    test = write(folder, "images/2.png,cat", "images/../images/1.png,dog", name="test.csv")
    with pytest.raises(
        ValueError, match=r"`test_csv` must not list training images; got the file of .*line 3 in .*test.csv, line 3"
    ):
        csv_file(train_csv=train, test_csv=test, image_size=8)
