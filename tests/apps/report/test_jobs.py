from __future__ import annotations

from comparison_documents import document, settings
from made_results import method_result
from report_material import job, material, of

from lt_callbacks.apps.report.jobs import about_jobs, problems
from lt_callbacks.evaluation.pages.report_blocks import Paragraph, Table


def test_jobs_that_are_not_done_are_told_with_their_logs():
    jobs = {"a": job("failed", error="it\n  broke"), "b": job("running"), "c": job("done", seconds=3.0)}
    made = material({"c/metrics.json": document(settings(), [method_result()])}, jobs=jobs)
    assert problems(made) == [
        "failed: a: it broke Log: /runs/grid/a/job.log",
        "unfinished: b Log: /runs/grid/b/job.log",
    ]
    (table,) = of(Table, about_jobs(made))
    assert [[entry.text for entry in row] for row in table.groups[0][1]] == [
        ["failed", "seed=1", "it broke", "–", "a/job.log"],
        ["unfinished", "seed=1", "–", "–", "b/job.log"],
    ]
    assert [row[-1].link for row in table.groups[0][1]] == ["../a/job.log", "../b/job.log"]


def test_long_errors_are_cut():
    (line,) = problems(
        material({"c": document(settings(), [method_result()])}, jobs={"a": job("failed", error="x" * 1000)})
    )
    assert "x…" in line
    assert len(line) < 500


def test_jobs_and_files_without_results_are_listed():
    documents = {"c/metrics.json": document(settings(), [method_result()]), "d/metrics.json": document(settings(), [])}
    made = material(documents, jobs={"c": job("done"), "d": job("done"), "e": job("done")})
    told = {block.text: block.items for block in of(Paragraph, about_jobs(made))}
    assert told == {
        "Done, but without results beside them, so not counted here:": ("e",),
        "Without a finished result yet:": ("d/metrics.json",),
    }
