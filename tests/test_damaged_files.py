"""Files that are damaged, false or swapped: named and refused, or read as they were; never another content in silence."""

from __future__ import annotations

from collections import Counter

import pytest
from damaged_files import KINDS
from file_damage import FOLDER, outcomes, wrong

#: Of the quick tests; the slow ones do all.
QUICK = ("empty", "cut to 0.5", "flipped at 0.5", "code in a pickle", "code in a torch file", FOLDER)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_some_damage_to_each_kind_of_file(tmp_path, kind):
    found = outcomes(kind, tmp_path / "files", only=QUICK)
    assert len(found) == len(QUICK)
    assert not wrong(kind, found)


@pytest.mark.slow
def test_all_damage_to_every_kind_of_file(tmp_path):
    table, failures = {}, {}
    for number, kind in enumerate(KINDS):
        found = outcomes(kind, tmp_path / str(number))
        failures.update({f"{kind.name}: {name}": what for name, what in wrong(kind, found).items()})
        table[kind.name] = Counter(found.values())
    total = sum(table.values(), Counter())
    assert sum(total.values()) >= 250
    assert not failures
    # The flips must reach what matters, or none of this says anything.
    assert total["refused"] > 0.8 * sum(total.values())
