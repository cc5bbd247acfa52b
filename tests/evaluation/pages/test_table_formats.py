from __future__ import annotations

import csv
import io

import pytest
from result_cells import cell
from rich.console import Console
from scipy import stats

from lt_callbacks.evaluation import csv_table, markdown_table, rich_table, summarise


@pytest.fixture
def rows():
    results = []
    for seed, (plain, ours) in enumerate([(50.0, 71.0), (52.0, 72.0), (54.0, 76.0)]):
        results.append(cell("CE", seed, plain, few=None, wrong_labels_fitted=90.0 + seed))
        results.append(cell("D-SINK | a_b [x]", seed, ours, few=None, wrong_labels_fitted=5.0, best_accuracy=80.0))
    return summarise(results, reference="CE")


def test_markdown_is_exact(rows):
    # differences 21, 20, 22: mean 21, sd 1, t(0.975; 2) = 4.3027, half width 4.3027 / sqrt(3) = 2.4841
    assert markdown_table(rows) == (
        "| Method | Seeds | All | Many | Medium | Wrong labels fitted | Difference to CE |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| CE | 3 | 52.0 ± 2.0 | 80.0 ± 0.0 | 50.0 ± 0.0 | 91.0 ± 1.0 | reference |\n"
        "| D-SINK \\| a\\_b [x] | 3 | **73.0 ± 2.6** | 80.0 ± 0.0 | 50.0 ± 0.0 | 5.0 ± 0.0 | +21.0 [+18.5, +23.5] |\n"
        "\n"
        "Percent of the test set after the last epoch, mean ± sd over seeds. Wrong labels fitted: percent of the "
        "wrongly labelled training samples predicted as their given label. Difference to CE: percentage points of "
        "All, paired by seed, with 95 % Student-t interval. Bold: the paired 95 % interval against every other method "
        "lies above 0.\n"
    )


def test_one_method_with_one_seed_claims_nothing():
    assert markdown_table(summarise([cell("CE")], reference=None)) == (
        "| Method | Seeds | All | Many | Medium | Few |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: |\n"
        "| CE | 1 | 50.0 | 80.0 | 50.0 | 20.0 |\n"
        "\n"
        "Percent of the test set after the last epoch, mean ± sd over seeds.\n"
    )


def test_fewer_pairs_than_seeds_are_shown():
    results = [cell("A", 0, 10.0), cell("A", 1, 20.0), cell("B", 1, 30.0), cell("B", 2, 50.0), cell("C", 5, 1.0)]
    lines = markdown_table(summarise(results, reference="A")).splitlines()
    assert lines[3].endswith("| +10.0 (n = 1) |")
    assert lines[4].endswith("| – |")


def test_csv_holds_full_precision(rows):
    plain, ours = csv.DictReader(io.StringIO(csv_table(rows)))
    expected = stats.t.interval(0.95, 2, loc=21, scale=1 / 3**0.5)
    assert ours["method"] == "D-SINK | a_b [x]"
    assert float(ours["accuracy_sd"]) == pytest.approx(7**0.5, abs=1e-12)
    assert (float(ours["difference_low"]), float(ours["difference_high"])) == pytest.approx(expected, abs=1e-9)
    assert ours["difference_num_pairs"] == "3"
    assert float(ours["best_epoch_accuracy_mean"]) == 80.0
    assert plain["difference_mean"] == plain["few_mean"] == plain["best_epoch_accuracy_mean"] == ""
    assert "\r" not in csv_table(rows)


@pytest.mark.parametrize("width", [80, 120])
def test_rich_table_shows_every_number_whole_and_names_literally(rows, width):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(rich_table(rows, title="Digits"))
    text = console.file.getvalue()
    for shown in ("Digits", "52.0±2.0", "73.0±2.6", "+21.0", "[+18.5, +23.5]", "reference", "[x]", "91.0±1.0"):
        assert shown in text


def test_rich_table_marks_the_best_only(rows):
    console = Console(width=100, file=io.StringIO(), force_terminal=True, color_system="standard")
    console.print(rich_table(rows))
    text = console.file.getvalue()
    assert "\x1b[1m73.0±2.6\x1b[0m" in text
    assert "\x1b[1m52.0±2.0" not in text


def test_a_share_that_one_method_lacks_is_a_dash():
    results = [cell("A", 0, wrong_labels_fitted=3.0), cell("B", 0)]
    line = markdown_table(summarise(results, reference=None)).splitlines()[3]
    assert line == "| B | 1 | 50.0 | 80.0 | 50.0 | 20.0 | – |"
