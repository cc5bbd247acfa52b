"""What each rank does in test_rank_agreement.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lt_callbacks.plugins import RankAgreement

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


def agreement_worker(rank: int, folder: Path) -> None:
    found = {}
    for name, facts in CASES.items():
        try:
            RankAgreement(facts[rank]).setup(None, None, "fit")
        except ValueError as error:
            found[name] = str(error)
        else:
            found[name] = None
    (folder / f"{rank}.json").write_text(json.dumps(found))
