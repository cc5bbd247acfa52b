"""What comes of damage to every kind of file: writes docs/results/damaged-files.json and the page's table.

Run: python docs/benchmarks/damage_to_files.py
"""

import json
import re
import sys
import tempfile
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

from lt_callbacks._files import write_json
from lt_callbacks.evaluation.records.environment import hardware, versions

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "docs" / "results" / "damaged-files.json"
PAGE = ROOT / "docs" / "reliability.md"
BLOCK = re.compile(r"(<!-- damage: [^>]* -->\n).*?(<!-- end -->)", re.DOTALL)

OUTCOMES = ("refused", "whole", "unnoticed")


def measured() -> dict:
    """Outcome of each damage to each kind of file, counted."""
    # The same files and damage as those of the tests.
    for folder in (ROOT / "tests").rglob("*"):
        if folder.is_dir() and folder.name not in ("__pycache__", "breakages"):
            sys.path.append(str(folder))
    sys.path.append(str(ROOT / "tests"))
    from damaged_files import KINDS
    from file_damage import outcomes, wrong

    rows = []
    with tempfile.TemporaryDirectory() as place:
        for number, kind in enumerate(KINDS):
            found = outcomes(kind, Path(place) / str(number))
            if bad := wrong(kind, found):
                raise SystemExit(f"{kind.name}: {bad}")
            counts = Counter(found.values())
            rows.append({"kind": kind.name, **{name: counts[name] for name in OUTCOMES}})
    return {
        "format": "lt_callbacks.damaged_files",
        "format_version": 1,
        "command": "python docs/benchmarks/damage_to_files.py",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "versions": versions(),
        "rows": rows,
    }


def table(document: dict) -> str:
    """The page's table of a measured document."""
    lines = [
        "| kind of file | refused by name | read as it was | another number read |",
        "| :--- | ---: | ---: | ---: |",
    ]
    lines += [f"| {row['kind']} | {' | '.join(str(row[name]) for name in OUTCOMES)} |" for row in document["rows"]]
    totals = [sum(row[name] for row in document["rows"]) for name in OUTCOMES]
    lines.append(f"| **{sum(totals):,} files** | {' | '.join(f'**{total:,}**' for total in totals)} |")
    return "\n".join(lines)


def filled(page: str, document: dict) -> str:
    """``page`` with its table as ``document`` says."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{table(document)}\n\n{found[2]}", page)


if __name__ == "__main__":
    write_json(RESULT, measured())
    PAGE.write_text(filled(PAGE.read_text(), json.loads(RESULT.read_text())))
