from __future__ import annotations

import os
from dataclasses import asdict

import pytest

from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.file_contents import FILES, LABEL_FILES, with_contents
from lt_callbacks.apps.config.train_schemas import TrainConfig


def settings(name, value):
    """Nested as those of a command."""
    *groups, entry = name.split(".")
    made = {entry: value, "other": 1}
    for group in reversed(groups):
        made = {group: made, "top": 2}
    return made


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_what_is_in_it_wherever_it_lies(tmp_path, name):
    here, there = tmp_path / "labels", tmp_path / "elsewhere"
    for path in (here, there):
        path.write_bytes(b"1 2 3")
    found = with_contents(settings(name, str(here)))
    assert found == with_contents(settings(name, str(there)))
    assert str(tmp_path) not in str(found)
    there.write_bytes(b"1 2 4")
    assert found != with_contents(settings(name, str(there)))


def test_a_file_that_changes_under_its_name_is_read_again(tmp_path):
    path = tmp_path / "manifest.json"
    path.write_text("one")
    before = with_contents({"manifest": str(path)})
    assert before == {"manifest": "sha256:7692c3ad3540bb80"}
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert with_contents({"manifest": str(path)}) != before


@pytest.mark.parametrize("value", [None, "nowhere.json", "."])
def test_what_names_no_file_that_is_there_stays(value):
    assert with_contents({"manifest": value, "seed": 1}) == {"manifest": value, "seed": 1}


def test_only_the_settings_asked_for_are_changed_and_the_original_stays(tmp_path):
    path = tmp_path / "t.npy"
    path.write_bytes(b"x")
    given = {"manifest": str(path), "noise": {"transition_file": str(path), "kind": "custom"}}
    found = with_contents(given, names=LABEL_FILES)
    assert found["manifest"] == str(path)
    assert found["noise"]["transition_file"].startswith("sha256:")
    assert found["noise"]["kind"] == "custom"
    assert given["noise"]["transition_file"] == str(path)


@pytest.mark.parametrize("config", [TrainConfig(), DistillConfig()])
def test_they_are_settings_of_the_commands(config):
    held = asdict(config)
    known = {*held, *(f"{group}.{name}" for group, value in held.items() if isinstance(value, dict) for name in value)}
    assert {name for name in FILES if not name.partition(".")[0].endswith("_teacher")} <= known
    assert with_contents(held) == held
