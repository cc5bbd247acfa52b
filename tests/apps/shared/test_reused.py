from __future__ import annotations

from pathlib import Path

from lt_callbacks.apps.shared.reused import about_finished, about_store

METHODS = ["ce", "dsink"]
FILE = Path("runs") / "metrics.json"


def told(todo):
    return about_finished(todo, methods=METHODS, document=FILE)


def test_a_fresh_run_says_nothing():
    assert told({0: METHODS, 1: METHODS}) == []


def test_finished_results_are_counted_and_named_with_their_document():
    assert told({0: [], 1: ["dsink"], 2: METHODS}) == [
        f"3 of 6 results (methods times seeds) are reused from {FILE} (all of seed 0; seed 1: ce)."
    ]
    assert told({0: [], 1: [], 2: METHODS}) == [
        f"4 of 6 results (methods times seeds) are reused from {FILE} (all of seeds 0, 1)."
    ]
    assert told({0: [], 1: []}) == [
        f"4 of 4 results (methods times seeds) are reused from {FILE}; nothing is left to run."
    ]


def test_the_store_is_named_by_its_folder():
    home = Path("~/kept").expanduser()
    assert about_store("~/kept", what="trained teachers") == (
        f"Store of trained teachers: {home}. What it has already is reused."
    )
