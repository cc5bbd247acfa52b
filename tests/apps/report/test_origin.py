from __future__ import annotations

from dataclasses import replace

from comparison_documents import comparison, document, settings
from made_results import method_result
from report_material import material, of

from lt_callbacks.apps.report.origin import about_origin, about_settings
from lt_callbacks.evaluation.pages.report_blocks import Code, Facts, Paragraph, Table


def test_settings_are_axes_followers_and_what_all_share():
    blocks = about_settings(comparison(ratios=(0.0, 0.2, 0.4), factors=(10.0,)))
    axes, common = of(Facts, blocks)
    assert axes.groups == {"Compared": {"noise.ratio": "0, 0.2, 0.4"}}
    assert common.groups["imbalance"] == {"profile": "exponential", "factor": "10"}
    (sentence,) = of(Paragraph, blocks)[0].items
    assert sentence == "noise.kind follows noise.ratio: none at 0; symmetric at 0.2, 0.4."


def test_the_origin_says_commands_machines_versions_and_files():
    one = document(settings(0.2), [method_result()])
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
