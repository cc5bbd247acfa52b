"""What each rank does in test_rank_agreement.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import small_modules as m

from lt_callbacks.plugins import RankAgreement
from lt_callbacks.plugins.batch_agreement import check_same_batches

#: Name -> what each of two ranks was told.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "equal": ({"a": 1, "b": {"c": [1, 2], "d": None}}, {"b": {"d": None, "c": [1, 2]}, "a": 1}),
    "tuple_and_list": ({"a": (1, 2)}, {"a": [1, 2]}),
    "empty": ({}, {}),
    "nested": ({"noise": {"kind": "s", "ratio": 0.2}, "z": 1}, {"noise": {"kind": "s", "ratio": 0.4}, "z": 2}),
    "missing": ({"dsink": {"alpha": 3}}, {"dsink": {}}),
    "added": ({"seed": 1}, {"seed": 1, "trainer": {"precision": "bf16"}}),
    "list": ({"methods": ["ce", "dsink"]}, {"methods": ["dsink", "ce"]}),
    "null": ({"store": None}, {"store": "here"}),
    "number_and_text": ({"seed": 1}, {"seed": "1"}),
}


#: Name -> what each of two ranks says of its batches.
BATCHES = {"same": (3, 3), "more": (3, 5), "fewer": (5, 3), "unknown": (-1, 4), "both_unknown": (-1, -1)}


def agreement_worker(rank: int, folder: Path) -> None:
    found = {}
    for name, facts in CASES.items():
        try:
            RankAgreement(facts[rank]).setup(m.trainer(), None, "fit")
        except ValueError as error:
            found[name] = str(error)
        else:
            found[name] = None
    for name, said in BATCHES.items():
        try:
            check_same_batches(said[rank], "batches of an epoch", {-1: "an unknown number"})
        except ValueError as error:
            found[f"batches_{name}"] = str(error)
        else:
            found[f"batches_{name}"] = None
    (folder / f"{rank}.json").write_text(json.dumps(found))
