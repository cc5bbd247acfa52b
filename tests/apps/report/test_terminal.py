from __future__ import annotations

import re

from finished_jobs import write_sweep

from lt_callbacks.apps.report.command import main


def test_the_terminal_shows_the_table_and_where_everything_is(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    root = write_sweep(tmp_path / "sweep", factors=(10.0,), seeds=(0, 1))
    assert main([str(root), "--output", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "2 settings, 4 methods, 2 seeds; 16 results from 4 files." in told
    assert re.search(r"0\.2 +71\.5±0\.7", told)
    assert f"Page: {tmp_path / 'out' / 'report.html'}" in told


def test_a_table_that_is_too_wide_for_the_terminal_is_long_instead(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert main([str(write_sweep(tmp_path / "sweep", ratios=(0.4,), factors=(10.0,), seeds=(0, 1)))]) == 0
    told = capsys.readouterr().out
    assert re.search(r"all runs +f_N alone +67\.5±0\.7 +2", told)
    assert "…" not in told


def test_a_long_table_is_cut_and_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    root = write_sweep(
        tmp_path / "sweep", ratios=[n / 100 for n in range(41)], factors=(10.0,), seeds=(0,), methods=("CE",)
    )
    assert main([str(root)]) == 0
    assert "The first 40 of 41 rows; the report has all." in capsys.readouterr().out
