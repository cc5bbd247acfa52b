from pathlib import Path

import pytest
from made_documents import TRANSPORT_MEASUREMENT, document

from lt_callbacks.bench.document import read_bench
from lt_callbacks.bench.tables import markdown_tables, tables_of

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"


def test_a_page_has_the_tables_that_it_asks_for():
    content = document("transport", {"corr:128x10:3": TRANSPORT_MEASUREMENT})
    every = markdown_tables(content)
    assert [line for line in every.splitlines() if line.startswith("**")] == [
        "**Time to a relative column error of 1e-3**",
        "**Median milliseconds of every solver, corr**",
        "**Accuracy in float64, the worst over all problems**",
    ]
    assert markdown_tables(content, only=["Accuracy"]) == every[every.index("**Accuracy") :]


@pytest.mark.parametrize("path", sorted(RESULTS.glob("bench-*.json")), ids=lambda path: path.name)
def test_committed_documents_have_tables_under_the_name_of_their_file(path):
    content = read_bench(path)
    assert path.name == f"bench-{content['kind']}.json"
    assert all(table.rows for table in tables_of(content))
