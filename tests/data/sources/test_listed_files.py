from __future__ import annotations

from pathlib import Path

import pytest

from lt_callbacks.data.sources import listed_files
from lt_callbacks.data.sources.listed_files import real_files


@pytest.fixture(params=[1, 1000], ids=["listed", "asked one by one"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(listed_files, "LISTED_FROM", request.param)
    (tmp_path / "images" / "inner").mkdir(parents=True)
    for name in ("a", "b", "inner/a"):
        (tmp_path / "images" / name).write_bytes(b"")
    (tmp_path / "images" / "to a").symlink_to("a")
    (tmp_path / "images" / "to nothing").symlink_to("no")
    (tmp_path / "images" / "around").symlink_to("around")
    (tmp_path / "linked").symlink_to("images/inner")
    return tmp_path


def test_spellings_of_one_file_lead_to_it(folder: Path, monkeypatch: pytest.MonkeyPatch):
    a, inner = str(folder / "images" / "a"), str(folder / "images" / "inner" / "a")
    images = f"{folder}/images"
    spellings = [f"{images}/a", f"{images}/./a", f"{images}//a", f"{images}/inner/../a", f"{images}/to a"]
    # the system's way: up from where the link leads
    assert real_files([*spellings, f"{folder}/linked/../a"]) == [a] * 6
    assert real_files([f"{folder}/linked/a", f"{images}/inner/a"]) == [inner, inner]
    monkeypatch.chdir(folder / "images")
    assert real_files(["a", "./a", "../images/a", "b"]) == [a, a, a, str(folder / "images" / "b")]


def test_what_is_no_file_has_none(folder: Path):
    images = f"{folder}/images"
    nothing = ["no", "inner", "to nothing", "around", "", ".", "..", "inner/", "zero\0byte", "a/b", "no/a", "x" * 5000]
    assert real_files([f"{images}/{name}" for name in nothing]) == [None] * len(nothing)
