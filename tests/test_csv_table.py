from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from lt_callbacks._csv_table import CsvTable, read_csv_table


def read(folder: Path, content: str | bytes) -> CsvTable:
    file = folder / "train.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_csv_table("train_csv", file)


def rows(table: CsvTable) -> list[tuple[str, str]]:
    return [(path, table.labels[number]) for path, number in zip(table.paths, table.label_numbers, strict=True)]


ROWS = [("a b.png", "cat, small"), ("c.png", "dog"), ("d.png", "cat, small")]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("quote", ['"', ""])
def test_what_programs_export_is_read(tmp_path: Path, mark: str, end: str, separator: str, quote: str):
    label = "cat, small" if quote or separator != "," else "cat"
    lines = [
        f"{quote}path{quote}{separator}id{separator}{quote}label{quote}",
        f"{quote}a b.png{quote}{separator}1{separator}{quote}{label}{quote}",
        f"c.png{separator} 2{separator} dog ",
    ]
    table = read(tmp_path, mark + end.join([*lines, ""]))
    assert rows(table) == [("a b.png", label), ("c.png", "dog")]
    assert table.lines.tolist() == [2, 3]
    assert table.splits is None


@pytest.mark.parametrize(("encoding", "mark"), [("utf-16-le", codecs.BOM_UTF16_LE), ("utf-16-be", codecs.BOM_UTF16_BE)])
def test_unicode_text_of_spreadsheets_is_read(tmp_path: Path, encoding: str, mark: bytes):
    table = read(tmp_path, mark + "path\tlabel\r\na.png\tKätzchen\r\nb.png\t猫\r\n".encode(encoding))
    assert rows(table) == [("a.png", "Kätzchen"), ("b.png", "猫")]


def test_the_separator_is_the_one_that_makes_columns(tmp_path: Path):
    table = read(tmp_path, 'id;label;path;note\n1;cat;a,b.png;"x;y, z"\n2;dog, big;c.png;\n')
    assert rows(table) == [("a,b.png", "cat"), ("c.png", "dog, big")]
    table = read(tmp_path, '"a, b; c"\tpath\tlabel\n1\ta.png\tx\n')
    assert rows(table) == [("a.png", "x")]


@pytest.mark.parametrize("told", ["sep=;", "SEP=;", '"sep=;"'])
def test_a_line_that_tells_spreadsheets_the_separator_is_passed_over(tmp_path: Path, told: str):
    table = read(tmp_path, f"{told}\r\npath;label\r\na.png;x\r\n")
    assert rows(table) == [("a.png", "x")]
    assert table.where(0).endswith("train.csv, line 3")
    with pytest.raises(ValueError, match="got .*line 4, which has 1"):
        read(tmp_path, "sep=;\npath;label\na.png;x\nb.png\n")


def test_empty_lines_are_passed_over_and_counted(tmp_path: Path):
    table = read(tmp_path, "path,label,\n\na.png,x,\n,,\n  \n ,, \nb.png,y,1\n")
    assert rows(table) == [("a.png", "x"), ("b.png", "y")]
    assert table.lines.tolist() == [3, 7]


def test_other_columns_may_go_over_lines(tmp_path: Path):
    table = read(tmp_path, 'path,"note\nof two",label\na.png,"one\ntwo ""2""\n",x\nb.png,,y\n')
    assert rows(table) == [("a.png", "x"), ("b.png", "y")]
    assert table.lines.tolist() == [3, 6]


def test_where_labels_and_splits_stand(tmp_path: Path):
    table = read(tmp_path, "path,label,split\na.png,x,train\nb.png,y,test\nc.png,x,train\n")
    assert (table.labels, table.label_numbers.tolist()) == (["x", "y"], [0, 1, 0])
    assert (table.splits, table.split_numbers.tolist()) == (["train", "test"], [0, 1, 0])
    assert table.first(1) == 1


LATER = "".join(f"{i}.png,x,\n" for i in range(3000))


@pytest.mark.parametrize(
    "body",
    [
        # never closed
        f'a.png,x,\n"b.png,x,\n{LATER}',
        f'a.png,x,\nb.png,"x,\n{LATER}',
        f'a.png,x,\nb.png,x,"note\n{LATER}',
        # closed by a quote that was to open another, or by a stray one
        f'a.png,x,\nb.png,"x,\n{LATER}c.png,"y",\n{LATER}',
        f'a.png,x,\nb.png,"x,\n{LATER}"c.png",y,\n{LATER}',
        f'a.png,x,\n"b.png,x,\n{LATER}c.png",y,\n{LATER}',
        f'a.png,x,\nb.png,x,"note\n{LATER}c.png,y,"note"\n{LATER}',
        f'a.png,x,\n"b.png,x,\n{LATER}c.png,y,"\n{LATER}',
        # longer than a field may be
        f'a.png,x,\n"b.png,x,\n{20 * LATER}',
        # closed within the field
        'a.png,x,\nb.png,"x" y,\n',
    ],
)
def test_a_quote_that_is_not_closed_is_named_with_its_line(tmp_path: Path, body: str):
    with pytest.raises(
        ValueError, match=r"`train_csv` must close every quote, at the end of its field; got .*train.csv, line 3, where"
    ):
        read(tmp_path, f"path,label,note\n{body}")


def test_a_quote_within_a_field_is_part_of_it(tmp_path: Path):
    assert rows(read(tmp_path, 'path,label\na.png,5" screen\nb.png,"5"" screen"\n')) == [
        ("a.png", '5" screen'),
        ("b.png", '5" screen'),
    ]


@pytest.mark.parametrize("name", ["path", "label", "split"])
def test_a_column_twice_is_named_with_its_line(tmp_path: Path, name: str):
    message = rf"`train_csv` must have one column '{name}'; got 2 of them in .*train.csv, line"
    with pytest.raises(ValueError, match=f"{message} 1. Rename"):
        read(tmp_path, f"path,label,split,{name}\na.png,x,train,y\n")
    with pytest.raises(ValueError, match=f"{message} 2. Rename"):
        read(tmp_path, f"sep=;\npath;label;split;{name}\na.png;x;train;y\n")


def test_a_header_without_the_columns_is_shown(tmp_path: Path):
    with pytest.raises(
        ValueError,
        match="`train_csv` must have the columns 'path' and 'label' in its first line; got file, class, id in "
        ".*train.csv. Add the header .* Separate columns by commas, semicolons or tabs",
    ):
        read(tmp_path, "file;class;id\na.png;x;1\n")
    with pytest.raises(ValueError, match=r"in its first line; got path\|label in"):
        read(tmp_path, "path|label\na.png|x\n")
    with pytest.raises(ValueError, match=r"in its first line; got Path, Label in"):
        read(tmp_path, "Path,Label\na.png,x\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04\x14\0\x06\0", "got .*train.csv, a zip file, as spreadsheets are. Save it again as"),
        ("path,label\na.png,x\n".encode("utf-16-le"), "got .*train.csv, which holds zero bytes. Save it again as"),
        (codecs.BOM_UTF32_LE + "path,label\n".encode("utf-32-le"), "got .*train.csv, which holds zero bytes"),
        (b"path,label\r\na.png,x\r\nb.png,\xe4\r\n", r"got .*train.csv, which is not, in line 3 \(invalid cont"),
        (
            b"path,label\r" + 9000 * b"a.png,x\r" + b"b.png,\xff\r",
            r"got .*, which is not, in line 9002 \(invalid start byte\)",
        ),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, message: str):
    with pytest.raises(ValueError, match="`train_csv` must be a CSV file in UTF-8; " + message):
        read(tmp_path, content)
