from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from comparison_documents import comparison, document, settings, sweep
from result_cells import cell

from lt_callbacks.apps.config.job_record import JobRecord
from lt_callbacks.apps.report.sections import (
    Material,
    about_jobs,
    about_origin,
    about_settings,
    about_unaffected,
    at_a_glance,
    default_title,
    problems,
    sections_of,
    summary_of,
)
from lt_callbacks.evaluation import pool_results
from lt_callbacks.evaluation.pages.report_blocks import Code, Facts, Paragraph, Table

BASE = Path("/runs/grid")


def material(documents, *, jobs=None, group_by=(), output=BASE / "report"):
    return Material(
        comparison=pool_results(documents, group_by=group_by),
        documents=documents,
        jobs={BASE / name: job for name, job in (jobs or {}).items()},
        base=BASE,
        output=output,
        group_by=group_by,
    )


def job(status, **changes):
    made = JobRecord(command="lt-train", hash="0", status=status, overrides=["seed=1"], config={}, started="2026-11-21")
    return replace(made, **changes)


def of(kind, blocks):
    return [block for block in blocks if isinstance(block, kind)]


def test_titles_say_what_is_compared():
    assert default_title(comparison()) == "digits: accuracy by noise.ratio and imbalance.factor"
    assert default_title(comparison(ratios=(0.4,), factors=(10.0,))) == "digits: accuracy at one setting"
    three = [document({**settings(), "data": {"name": name}}, [cell()]) for name in "ab"]
    assert default_title(pool_results(dict(zip("ab", three, strict=True)))) == "Accuracy by data.name"
    asked = pool_results(sweep(), group_by=["dsink.alpha"])
    assert default_title(asked) == "digits: accuracy by dsink.alpha, noise.ratio and imbalance.factor"


def test_the_summary_counts():
    made = material({"a": document(settings(), [cell()])})
    assert summary_of(made) == "1 setting, 1 method, 1 seed; 1 result from 1 file."


def test_gains_are_counted_by_the_side_of_their_intervals():
    documents = {}
    for ratio, gains in ((0.1, (1.0, 1.1)), (0.2, (-1.0, -1.1)), (0.3, (1.0, -1.0)), (0.4, (5.0,))):
        cells = [run for s, gain in enumerate(gains) for run in (cell("CE", s, 50), cell("D-SINK", s, 50 + gain))]
        documents[str(ratio)] = document(settings(ratio), cells)
    assert at_a_glance(material(documents))[0] == (
        "D-SINK minus CE, paired 95 % interval in each of 4 settings: above 0 in 1, below in 1, undecided in 1, "
        "a single pair in 1."
    )


def test_too_few_seeds_and_gaps_are_told():
    documents = sweep(factors=(10.0,), methods=("CE", "f_L alone"), seeds=(0, 1))
    documents["extra"] = document(settings(0.3), [cell("CE", s) for s in (0, 1, 2)])
    told = at_a_glance(material(documents))
    assert "Some means rest on 2 seeds: too few for a claim." in told
    assert "1 method of a setting without results: shown as – in tables, grey in maps." in told
    assert at_a_glance(material(sweep(factors=(10.0,), methods=("CE",)))) == []


def test_jobs_that_are_not_done_are_told_with_their_logs():
    jobs = {"a": job("failed", error="it\n  broke"), "b": job("running"), "c": job("done", seconds=3.0)}
    made = material({"c/metrics.json": document(settings(), [cell()])}, jobs=jobs)
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
    (line,) = problems(material({"c": document(settings(), [cell()])}, jobs={"a": job("failed", error="x" * 1000)}))
    assert "x…" in line
    assert len(line) < 500


def test_jobs_and_files_without_results_are_listed():
    documents = {"c/metrics.json": document(settings(), [cell()]), "d/metrics.json": document(settings(), [])}
    made = material(documents, jobs={"c": job("done"), "d": job("done"), "e": job("done")})
    told = {block.text: block.items for block in of(Paragraph, about_jobs(made))}
    assert told == {
        "Done, but without results beside them, so not counted here:": ("e",),
        "Without a finished result yet:": ("d/metrics.json",),
    }


def test_methods_that_an_axis_does_not_enter_are_named():
    documents = {
        str(alpha): document(settings(dsink={"alpha": alpha}), [cell("CE", 0, 50), cell("D-SINK", 0, 50 + alpha)])
        for alpha in (1, 10)
    }
    assert about_unaffected(pool_results(documents)) == ["The same at every dsink.alpha, which does not enter: CE."]


def test_settings_are_axes_followers_and_what_all_share():
    blocks = about_settings(comparison(ratios=(0.0, 0.2, 0.4), factors=(10.0,)))
    axes, common = of(Facts, blocks)
    assert axes.groups == {"Compared": {"noise.ratio": "0, 0.2, 0.4"}}
    assert common.groups["imbalance"] == {"profile": "exponential", "factor": "10"}
    (sentence,) = of(Paragraph, blocks)[0].items
    assert sentence == "noise.kind follows noise.ratio: none at 0; symmetric at 0.2, 0.4."


def test_the_origin_says_commands_machines_versions_and_files():
    one = document(settings(0.2), [cell()])
    gpu = {"cpu": "big", "num_cores": 1, "system": "Linux", "gpus": ["H200", "H200"]}
    run = {**one.runs[0], "hardware": gpu, "command": "lt-train x", "date": "2026-11-20T09:08:07+00:00"}
    documents = {"a/m.json": one, "b/m.json": replace(one, settings=settings(0.4), runs=(run,), notes="Half the data.")}
    blocks = about_origin(material(documents))
    (facts,) = of(Facts, blocks)
    assert facts.groups[""] == {
        "Dates": "2026-11-20 09:08 UTC to 2026-11-21 10:20 UTC",
        "Machine 1": "a cpu, 2 cores, Linux",
        "Machine 2": "2 × H200, big, 1 core, Linux",
        "Versions": "python 3.11, torch 2.9",
    }
    assert of(Code, blocks)[0].text == "lt-train -m\nlt-train x"
    assert of(Paragraph, blocks)[0].items == ("Half the data.",)
    (files,) = of(Table, blocks)
    assert [(row[0].text, row[0].link) for row in files.groups[0][1]] == [
        ("a/m.json", "../a/m.json"),
        ("b/m.json", "../b/m.json"),
    ]


def test_the_sections_are_in_the_order_of_interest():
    cells = [cell("CE", 0), cell("D-SINK", 0)]
    titles = [section.title for section in sections_of(material({"a": document(settings(), cells)}))]
    assert titles == [
        *("At a glance", "Accuracy", "Gain of D-SINK", "Many, medium and few", "Time", "Settings", "Origin")
    ]


def test_sections_about_nothing_are_left_out():
    cells = [cell("CE", seed, many=None, medium=None, few=None) for seed in range(3)]
    titles = [section.title for section in sections_of(material({"a": document(settings(), cells)}))]
    assert titles == ["Accuracy", "All shares", "Time", "Settings", "Origin"]
