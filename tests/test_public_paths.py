"""Every public argument that is a path takes a str or a path object, and refuses the rest under its own name."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest
from public_paths import CALLS, LISTS, NONE_IS_FINE, OTHERS, with_paths

from lt_callbacks._errors import UserError


class Bytes:
    """A path object whose path is bytes."""

    def __fspath__(self) -> bytes:
        return b"x"


NO_PATHS = [3, 0.5, True, b"x", ["x"], {"x": 1}, object(), Bytes()]


def argument_of(call: str) -> str:
    return call.rpartition("(")[2].removesuffix(")")


def test_every_public_path_is_on_the_list():
    # Made by others, which have checked the paths.
    values = {"trained_model.Prediction(path)", "data.WorkerDataset(images)"}
    assert with_paths() - values == {*CALLS, *LISTS, *OTHERS}


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_path_is_refused_by_name(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    argument = argument_of(call)
    for value in NO_PATHS:
        with pytest.raises(TypeError, match=rf"^`{argument}` must be a path: a str, or an object with one .*; got "):
            CALLS[call](value)
    for text in ("", "a\0b"):
        with pytest.raises(ValueError, match=rf"^`{argument}` must be a path: .*; got '{re.escape(repr(text)[1:-1])}'"):
            CALLS[call](text)
    if call not in NONE_IS_FINE:
        with pytest.raises(TypeError, match=rf"^`{argument}` must be a path: .*; got None"):
            CALLS[call](None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("call", LISTS)
def test_what_is_no_list_of_paths_is_refused_by_name(tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    argument = argument_of(call)
    for value in ("abc", b"abc", Path("abc"), None, 3):
        with pytest.raises(TypeError, match=rf"^`{argument}` must be a list of paths; got .* Put a single one"):
            LISTS[call](value)
    for value in NO_PATHS:
        with pytest.raises(TypeError, match=rf"^`{argument}\[1\]` must be a path: "):
            LISTS[call]([str(tmp_path), value])


@pytest.mark.parametrize("call", OTHERS)
def test_what_is_neither_path_nor_picture_is_refused_by_name(call):
    argument = argument_of(call)
    for value in (3, b"x", {"x": 1}, Bytes()):
        with pytest.raises(TypeError, match=rf"^`{argument}(\[0\])?` must be "):
            OTHERS[call](value)


@pytest.mark.parametrize("call", [*CALLS, *LISTS])
def test_text_and_path_objects_are_taken_alike(tmp_path, monkeypatch, call):
    """Called with a place where nothing is: whatever comes of it, it is the same, and no complaint about the type."""
    monkeypatch.chdir(tmp_path)
    if call.startswith(("teachers.cache", "teachers.train_teachers", "dataset_distillation")):
        pytest.skip("it would begin to train")
    outcomes = []
    for number, make in enumerate((str, Path, PurePosixPath)):
        place = make(tmp_path / "none" / f"{number}.png")
        try:
            found = {**CALLS, **LISTS}[call]([place] if call in LISTS else place)
            outcomes.append(type(found).__name__)
        except (UserError, AttributeError) as error:
            outcomes.append(re.sub(rf"\b{number}\b", "N", str(error)))
    assert len(set(outcomes)) == 1
    assert "must be a path" not in outcomes[0]
