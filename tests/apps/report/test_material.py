from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from finished_jobs import write_job, write_sweep

from lt_callbacks.apps.report import material as material_module
from lt_callbacks.apps.report.command import main
from lt_callbacks.apps.report.material import collect, relative
from lt_callbacks.evaluation.comparison.setting_rows import summarise_settings


def test_names_are_relative_to_the_first_place(tmp_path):
    root = write_sweep(tmp_path / "sweep", ratios=(0.4,), factors=(10.0,), seeds=(0,))
    found = collect([root], output=None, group_by=())
    assert list(found.documents) == ["noise.ratio=0.4,imbalance.factor=10.0,seed=0/metrics.json"]
    assert (found.base, found.output, list(found.jobs)) == (
        root,
        root / "report",
        [root / Path(*found.documents).parent],
    )


def test_the_rows_are_made_once_for_all_that_shows_them(tmp_path, monkeypatch):
    calls = []

    def counted(comparison, *, reference):
        calls.append(reference)
        return summarise_settings(comparison, reference=reference)

    monkeypatch.setattr(material_module, "summarise_settings", counted)
    root = write_sweep(tmp_path / "sweep", ratios=(0.4,), factors=(10.0,), seeds=(0, 1))
    assert main([str(root)]) == 0
    assert calls == ["CE"]


def test_jobs_that_are_not_done_are_unfinished(tmp_path):
    root = write_sweep(tmp_path / "sweep", ratios=(0.4,), factors=(10.0,), seeds=(0,))
    write_job(root / "bad", status="failed", error="x")
    found = collect([root], output=tmp_path / "out", group_by=())
    assert list(found.unfinished) == [root / "bad"]
    assert found.compared.method == "D-SINK"


@pytest.mark.parametrize(("path", "shown"), [("a/b", "a/b"), (".", "."), ("../c", "../c")])
def test_paths_are_shown_from_where_the_reader_is(tmp_path, path, shown):
    assert relative(Path(os.path.normpath(tmp_path / path)), tmp_path) == shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"overrides": "seed=1"}, 'which has "seed=1" as its entry `overrides`, which must be a list of texts'),
        ({"status": "ready"}, "which has \"ready\" as its entry `status`, which must be one of 'running', "),
        ({"priority": 3}, "which has an entry `priority` that this release does not know"),
        ({"format": 2}, "which another release wrote: it has no entry `format` that reads 1"),
    ],
)
def test_a_record_that_cannot_be_read_is_refused_with_what_is_wrong(tmp_path, change, message):
    root = write_sweep(tmp_path / "sweep", ratios=(0.4,), factors=(10.0,), seeds=(0,))
    (record,) = root.rglob("job.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), **change}))
    with pytest.raises(ValueError, match=rf"`DIR` must hold records of jobs .* got '.*job\.json', {message}"):
        collect([root], output=None, group_by=())
