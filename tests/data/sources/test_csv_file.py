from __future__ import annotations

import re
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
        (
            ["images/0.png"],
            "path,label",
            ValueError,
            "have 2 fields in every line, .*; got .*line 2, which has 1. Complete",
        ),
        (
            ["images/0.png,a,1", "images/1.png,b"],
            "path,label,id",
            ValueError,
            "have 3 fields in every line, as in its header; got .*line 3, which has 2. Complete it",
        ),
        (
            ["images/0.png,a", "images/1.png,b, small"],
            "path,label",
            ValueError,
            "have 2 fields in every line, .*; got .*line 3, which has 3. Quote a field that holds the separator",
        ),
        (
            ["images/0.png,a,b"],
            "path,label,label",
            ValueError,
            "`train_csv` must have one column 'label'; got 2 of them in .*train.csv, line 1. Rename or remove",
        ),
        (
            ["images\\0.png,a"],
            "path,label",
            FileNotFoundError,
            "name files that exist; got .*line 2. Write '/' for the backslashes",
        ),
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
        ValueError,
        match="`train_csv` must be a CSV file in UTF-8; got .*train.csv, which is not, in line 2 .* Save it again",
    ):
        csv_file(train_csv=path, image_size=8)


def test_an_unknown_test_label_is_refused_with_its_line(folder: Path):
    train = write(folder, "images/0.png,cat", "images/1.png,dog")
    test = write(folder, "images/2.png,cat", "images/3.png,cow", name="test.csv")
    with pytest.raises(
        ValueError,
        match="`test_csv` must have test labels that occur in training: cat, dog; got 'cow' in .*test.csv, line 3",
    ):
        csv_file(train_csv=train, test_csv=test, image_size=8)


def test_a_training_image_in_the_test_set_is_refused(folder: Path):
    train = write(folder, "images/0.png,cat", "images/1.png,dog")
    test = write(folder, "images/2.png,cat", "images/../images/1.png,dog", name="test.csv")
    with pytest.raises(
        ValueError, match=r"`test_csv` must not list training images; got the file of .*line 3 in .*test.csv, line 3"
    ):
        csv_file(train_csv=train, test_csv=test, image_size=8)


def test_an_image_may_be_listed_once_by_any_spelling_of_its_path(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
):
    (folder / "images" / "link.png").symlink_to("0.png")
    (folder / "linked").symlink_to("images")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "there.png").symlink_to(folder / "images" / "0.png")
    # Whoever names the folder lets paths lead out of it.
    options = {"image_size": 8, "root": folder}
    spellings = (
        "images/0.png",
        "./images/0.png",
        "images//0.png",
        "linked/../images/0.png",
        "linked/0.png",
        "images/link.png",
        str(folder / "images" / "0.png"),
        str(elsewhere / "there.png"),
    )
    for path in spellings:
        train = write(folder, "images/0.png,cat", "images/1.png,dog", f"{path},dog", f"{path},dog")
        with pytest.raises(
            ValueError,
            match=r"`train_csv` must list every image once; got the file of .*train.csv, line 2 \(label 'cat'\) "
            r"again with the label 'dog' in .*train.csv, line 4, and 2 such lines in all\. Remove the line",
        ):
            csv_file(train_csv=train, **options)
        train = write(folder, "images/0.png,cat", "images/1.png,dog", f"{path},cat")
        with pytest.raises(ValueError, match="the file of .*train.csv, line 2 again in .*train.csv, line 4"):
            csv_file(train_csv=train, **options)
        test = write(folder, f"{path},dog", name="test.csv")
        with pytest.raises(ValueError, match="`test_csv` must not list training images; got the file of .*line 2 in"):
            csv_file(train_csv=write(folder, "images/0.png,cat", "images/1.png,dog"), test_csv=test, **options)


def test_paths_that_lead_out_of_the_folder_need_the_root(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    lists = folder / "lists"
    (lists / "a").mkdir(parents=True)
    outside = tmp_path_factory.mktemp("outside") / "9.png"
    outside.write_bytes((folder / "images" / "5.png").read_bytes())
    for path in (
        "../images/1.png",
        "a/../../images/1.png",
        str(folder / "images" / "1.png"),
        str(outside),
        "../none.png",
    ):
        train = write(lists, f"{folder}/lists/../lists/own.png,a", f"{path},b")
        (lists / "own.png").write_bytes((folder / "images" / "0.png").read_bytes())
        with pytest.raises(
            ValueError,
            match=r"^`train_csv` must name files in its own folder, or be given together with `root`; got "
            rf"'{re.escape(path)}' in .*train\.csv, line 3, which leads out of .*lists\. If that is meant, pass `root`",
        ):
            csv_file(train_csv=train, image_size=8)
        if "none" not in path:
            assert len(csv_file(train_csv=train, root=lists, image_size=8).train) == 2
    test = write(lists, "../images/2.png,a", name="test.csv")
    with pytest.raises(ValueError, match="^`test_csv` must name files in its own folder"):
        csv_file(train_csv=write(lists, "own.png,a"), test_csv=test, image_size=8)


def test_links_and_dots_that_stay_in_the_folder_need_nothing(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    outside = tmp_path_factory.mktemp("outside") / "9.png"
    outside.write_bytes((folder / "images" / "5.png").read_bytes())
    (folder / "link.png").symlink_to(outside)
    (folder / "x").mkdir()
    (folder / "a..b.png").write_bytes(outside.read_bytes())
    (folder.parent / f"{folder.name}-too").mkdir()
    absolute = folder / "images" / "1.png"
    train = write(folder, "link.png,a", "x/../images/0.png,a", f"{absolute},b", "a..b.png,b")
    assert len(csv_file(train_csv=train, image_size=8).train) == 4
    # The folder by a link, and from within.
    (folder.parent / "by-link").symlink_to(folder)
    assert len(csv_file(train_csv=folder.parent / "by-link" / "train.csv", image_size=8).train) == 4
    monkeypatch.chdir(folder)
    assert len(csv_file(train_csv="train.csv", image_size=8).train) == 4
    # Not what only begins alike.
    beside = folder.parent / f"{folder.name}-too" / "1.png"
    with pytest.raises(ValueError, match="which leads out of"):
        csv_file(train_csv=write(folder, f"{beside},a"), image_size=8)


def test_copies_and_hard_links_are_images_of_their_own(folder: Path):
    (folder / "images" / "copy.png").write_bytes((folder / "images" / "0.png").read_bytes())
    (folder / "images" / "hard.png").hardlink_to(folder / "images" / "0.png")
    train = write(folder, "images/0.png,cat", "images/copy.png,dog", "images/hard.png,cat")
    assert csv_file(train_csv=train, image_size=8).train.labels.tolist() == [0, 1, 0]


def test_a_column_says_which_images_are_tested_on(folder: Path):
    rows = ("images/0.png,cat,train", "images/1.png,dog,Train", "images/2.png,dog,TEST", "images/3.png,cat, test ")
    source = csv_file(train_csv=write(folder, *rows, header="path,label,split"), image_size=8)
    assert [path.name for path in source.train.images] == ["0.png", "1.png"]
    assert [path.name for path in source.test.images] == ["2.png", "3.png"]
    assert source.train.labels.tolist() == [0, 1]
    assert source.test.labels.tolist() == [1, 0]
    only_training = csv_file(train_csv=write(folder, *rows[:2], header="path,label,split"), image_size=8)
    assert only_training.test is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["images/0.png,a,train", "images/1.png,b,val"],
            "got 'val' in .*line 3. Validation images are held out of the",
        ),
        (
            ["images/0.png,a,train", "images/1.png,b,Dev"],
            "got 'Dev' in .*line 3. Validation images are held out of the",
        ),
        (
            ["images/0.png,a,train", "images/1.png,b,"],
            "in the column 'split'; got '' in .*line 3. Correct it, or rename",
        ),
        (["images/0.png,a,3", "images/1.png,b,train"], "got '3' in .*line 2. Correct it, or rename the column"),
        (["images/0.png,a,test"], "at least one training image; got .*train.csv, where the column 'split' says 'test'"),
        (
            ["images/0.png,a,train", "images/./0.png,a,test"],
            "must not test on training images; got the file of .*line 2 in .*line 3",
        ),
        (
            ["images/0.png,a,train", "images/1.png,b,test"],
            "must have test labels that occur in training: a; got 'b' in .*line 3",
        ),
    ],
)
def test_a_split_that_does_not_fit_is_refused_with_its_line(folder: Path, lines: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        csv_file(train_csv=write(folder, *lines, header="path,label,split"), image_size=8)


def test_a_missing_test_image_is_named_with_its_line(folder: Path):
    lines = ("images/0.png,a,train", "images/1.png,a,train", "images/2.png,a,test", "images/9.png,a,test")
    with pytest.raises(FileNotFoundError, match="got .*9.png in .*train.csv, line 5. Correct the line"):
        csv_file(train_csv=write(folder, *lines, header="path,label,split"), image_size=8)


def test_two_ways_to_name_a_test_set_are_refused(folder: Path):
    plain = write(folder, "images/0.png,a", name="plain.csv")
    other = write(folder, "images/1.png,a", name="other.csv")
    with_split = write(folder, "images/2.png,a,train", header="path,label,split", name="split.csv")
    for train, test, argument in ((with_split, other, "train_csv"), (plain, with_split, "test_csv")):
        with pytest.raises(
            ValueError, match=f"`{argument}` must have no column 'split' where `test_csv` is given; got one"
        ):
            csv_file(train_csv=train, test_csv=test, image_size=8)


def test_test_labels_are_numbers_where_training_labels_are(folder: Path):
    train = write(folder, "images/0.png,3", "images/1.png,10")
    test = write(folder, "images/2.png,3.0", "images/3.png,10", name="test.csv")
    assert csv_file(train_csv=train, test_csv=test, image_size=8).test.labels.tolist() == [0, 1]
    for wrong in ("4", "3.5", "three", "nan"):
        test = write(folder, f"images/2.png,{wrong}", name="test.csv")
        with pytest.raises(ValueError, match=f"occur in training: 3, 10; got '{wrong}' in .*test.csv, line 2"):
            csv_file(train_csv=train, test_csv=test, image_size=8)
