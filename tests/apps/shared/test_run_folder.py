"""Folders that Hydra makes itself."""

from __future__ import annotations

import re

import pytest
from disks import PLACES
from tiny_run import type_command, type_distill


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("type_it", [type_command, type_distill])
def test_a_run_folder_is_refused_by_its_setting(tmp_path, monkeypatch, capsys, type_it, kind):
    make, text = PLACES[kind]
    with make(tmp_path / "place") as place:
        assert type_it(monkeypatch, place, "methods=[ce]") == 1
    said = capsys.readouterr().err
    assert re.match(f"`hydra.run.dir` {text}", said), said
    assert "Traceback" not in said


def test_a_sweep_folder_is_refused_by_its_setting(tmp_path, monkeypatch, capsys):
    (tmp_path / "sweep").touch()
    assert type_command(monkeypatch, tmp_path, "-m", "seed=0,1") == 1
    said = capsys.readouterr().err
    assert said.startswith(f"`hydra.sweep.dir` must be a folder; got '{tmp_path / 'sweep'}', a file. Name another one.")
    assert "Traceback" not in said
