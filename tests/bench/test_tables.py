import pytest
from made_documents import TRANSPORT_CELL, document, solved, timed

from lt_callbacks.bench.tables import Table, conditions, markdown, markdown_tables, milliseconds, tables_of, times


def column(table, heading):
    return [row[table.headings.index(heading)] for row in table.rows]


def test_the_table_of_transport_has_our_times_and_both_ratios():
    main, every, accuracy = tables_of(document("transport", {"corr:128x10:3": TRANSPORT_CELL}))
    (row,) = main.rows
    assert row[:7] == ("corr:128x10:3", "28", "POT sinkhorn numpy", "1", "POT sinkhorn numpy", "1", "4")
    assert row[7:] == ("0.5", "2.00", "2.00", "8.00", "0.80")
    assert ("GeomLoss solve", "not reached") in every.rows
    assert any("column error 1e-2" in note for note in every.notes)
    assert column(accuracy, "solver") == ["ours, torch", "POT sinkhorn numpy", "naive log-domain"]
    assert "A processor, 1 thread of 8 cores" in main.notes[0]
    assert "Not installed: POT." in main.notes[0]


def test_the_worst_of_all_problems_is_shown():
    worse = {**TRANSPORT_CELL, "solvers": dict(TRANSPORT_CELL["solvers"])}
    worse["solvers"]["ours, torch"] = {**solved("ours", 0.5), "column_error": 9e-4}
    accuracy = tables_of(document("transport", {"a": TRANSPORT_CELL, "b": worse}))[-1]
    assert column(accuracy, "column error")[0] == "9.0e-04"
    assert column(accuracy, "problems")[0] == "2"


def test_a_row_that_stopped_too_early_is_marked():
    rows = {**TRANSPORT_CELL["solvers"], "ours, torch, 100 sweeps at most": timed(0.2, group="extra", is_met=False)}
    cell = {**TRANSPORT_CELL, "axis": "sharpness-tv", "place": 32.0, "solvers": rows}
    (table,) = tables_of(document("scaling", {"sharpness-tv:32": cell}))
    assert ("ours, torch, 100 sweeps at most", "0.2 (!)") in table.rows
    assert ("best peer / ours, torch", "2.00") in table.rows


def test_memory_is_beside_that_of_the_matrix():
    cell = {"axis": "memory", "place": 1280.0, "num_rows": 128, "num_classes": 10, "problem_mib": 0.005}
    cell["memory"] = {"ours, torch": {"peak_mib": 0.01}, "naive log-domain": {"not_measured": "killed"}}
    (table,) = tables_of(document("scaling", {"memory:1280": cell}))
    assert table.rows == [("ours, torch", "0.01"), ("naive log-domain", "-"), ("the matrix itself", "0.005")]


def test_steps_have_spreads_ratios_and_parts():
    bare = {"part": "bare", "rows": {"CE": timed(10.0), "D-SINK": timed(20.0)}, "sweeps": 7}
    bare["ratios"] = {"D-SINK / CE": {"by_median": 2.0, "by_min": 2.0}}
    profile = {"shares": {"teachers": {"median_ms": 5.0, "share": 0.25}, "step": {"median_ms": 20.0, "share": 1.0}}}
    table, parts = tables_of(document("step", {"net C=10: bare": bare, "net C=10: profile": profile}))
    assert table.rows == [("CE", "10 [9, 11]"), ("D-SINK", "20 [18, 22]"), ("D-SINK / CE", "2.00")]
    assert "net C=10: 7" in table.notes[1]
    assert parts.rows[0] == ("teachers", "5 (25.0 %)")


def test_a_cell_has_seconds_and_accuracies_over_seeds():
    def row(total):
        parts = {"teacher_seconds": total / 2, "student_seconds": total / 2, "epoch_seconds": [total / 4] * 2}
        return {"total_seconds": total, "accuracy": 50.0 + total, **parts}

    cells = {f"seed {s}": {"rows": {"ours": row(4.0 + s)}, "ratios": {"hand / ours": 2.0 + s}} for s in range(3)}
    (table,) = tables_of(document("cell", cells))
    assert table.rows[0] == ("ours", "5 [4, 6]", "2.5 [2, 3]", "2.5 [2, 3]", "1.25 [1, 1.5]", "55 [54, 56]")
    assert table.rows[1][:2] == ("hand / ours", "3 [2, 4]")


def test_fits_of_tau_are_compared_with_the_streaming_one():
    rows = {"streaming": timed(20.0, tau=1.0, peak_mib=1.0), "loop": timed(100.0, tau=1.02, not_measured="no")}
    (table,) = tables_of(document("adsa", {"10 x 2": {"rows": rows, "ratios": {"loop": {"by_median": 5.0}}}}))
    assert table.rows == [
        ("10 x 2: streaming", "0.02", "-", "1", "1.0000"),
        ("10 x 2: loop", "0.1", "5.00", "-", "1.0200"),
    ]


def test_a_gpu_is_named_where_it_was_used():
    content = document("transport", {})
    assert conditions({**content, "settings": {"device": "cuda"}}).startswith("A GPU, ")


def test_markdown_has_a_line_a_row_and_its_notes():
    table = Table("title", ("a", "b"), [("x|y", "1")], ["A note."])
    assert markdown(table) == "| a | b |\n| :--- | ---: |\n| x/y | 1 |\n\nA note."


def test_a_page_has_the_tables_that_it_asks_for():
    content = document("transport", {"corr:128x10:3": TRANSPORT_CELL})
    every = markdown_tables(content)
    assert [line for line in every.splitlines() if line.startswith("**")] == [
        "**Time to a relative column error of 1e-3**",
        "**Median milliseconds of every solver, corr**",
        "**Accuracy in float64, the worst over all problems**",
    ]
    assert markdown_tables(content, only=["Accuracy"]) == every[every.index("**Accuracy") :]


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.12345, "0.123"), (999.4, "999"), (12345.6, "12346")])
def test_milliseconds_have_three_digits(value, text):
    assert milliseconds(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.456, "0.46"), (9.999, "10.00"), (23.4, "23")])
def test_ratios_below_ten_have_two_decimals(value, text):
    assert times(value) == text
