from made_documents import TRANSPORT_MEASUREMENT, document, solved, timed

from lt_callbacks.bench.tables import tables_of


def column(table, heading):
    return [row[table.headings.index(heading)] for row in table.rows]


def test_the_table_of_transport_has_our_times_and_both_ratios():
    main, every, accuracy = tables_of(document("transport", {"corr:128x10:3": TRANSPORT_MEASUREMENT}))
    (row,) = main.rows
    assert row[:7] == ("corr:128x10:3", "28", "POT sinkhorn numpy", "1", "POT sinkhorn numpy", "1", "4")
    assert row[7:] == ("0.5", "2.00", "2.00", "8.00", "0.80")
    assert ("GeomLoss solve", "not reached") in every.rows
    assert any("column error 1e-2" in note for note in every.notes)
    assert column(accuracy, "solver") == ["ours, torch", "POT sinkhorn numpy", "naive log-domain"]
    assert "A processor, 1 thread of 8 cores" in main.notes[0]
    assert "Not installed: POT." in main.notes[0]


def test_the_worst_of_all_problems_is_shown():
    worse = {**TRANSPORT_MEASUREMENT, "solvers": dict(TRANSPORT_MEASUREMENT["solvers"])}
    worse["solvers"]["ours, torch"] = {**solved("ours", 0.5), "column_error": 9e-4}
    accuracy = tables_of(document("transport", {"a": TRANSPORT_MEASUREMENT, "b": worse}))[-1]
    assert column(accuracy, "column error")[0] == "9.0e-04"
    assert column(accuracy, "problems")[0] == "2"


def test_a_row_that_stopped_too_early_is_marked():
    rows = {
        **TRANSPORT_MEASUREMENT["solvers"],
        "ours, torch, 100 sweeps at most": timed(0.2, group="extra", is_met=False),
    }
    measurement = {**TRANSPORT_MEASUREMENT, "axis": "sharpness-tv", "place": 32.0, "solvers": rows}
    (table,) = tables_of(document("scaling", {"sharpness-tv:32": measurement}))
    assert ("ours, torch, 100 sweeps at most", "0.2 (!)") in table.rows
    assert ("best peer / ours, torch", "2.00") in table.rows


def test_memory_is_beside_that_of_the_matrix():
    measurement = {"axis": "memory", "place": 1280.0, "num_rows": 128, "num_classes": 10, "problem_mib": 0.005}
    measurement["memory"] = {"ours, torch": {"peak_mib": 0.01}, "naive log-domain": {"not_measured": "killed"}}
    (table,) = tables_of(document("scaling", {"memory:1280": measurement}))
    assert table.rows == [("ours, torch", "0.01"), ("naive log-domain", "-"), ("the matrix itself", "0.005")]
