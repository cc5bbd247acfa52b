from made_documents import document, timed

from lt_callbacks.bench.tables import tables_of


def test_steps_have_spreads_ratios_and_parts():
    bare = {"part": "bare", "rows": {"CE": timed(10.0), "D-SINK": timed(20.0)}, "sweeps": 7}
    bare["ratios"] = {"D-SINK / CE": {"by_median": 2.0, "by_min": 2.0}}
    profile = {"shares": {"teachers": {"median_ms": 5.0, "share": 0.25}, "step": {"median_ms": 20.0, "share": 1.0}}}
    table, parts = tables_of(document("step", {"net C=10: bare": bare, "net C=10: profile": profile}))
    assert table.rows == [("CE", "10 [9, 11]"), ("D-SINK", "20 [18, 22]"), ("D-SINK / CE", "2.00")]
    assert "net C=10: 7" in table.notes[1]
    assert parts.rows[0] == ("teachers", "5 (25.0 %)")


def test_a_training_has_seconds_and_accuracies_over_seeds():
    def row(total):
        parts = {"teacher_seconds": total / 2, "student_seconds": total / 2, "epoch_seconds": [total / 4] * 2}
        return {"total_seconds": total, "accuracy": 50.0 + total, **parts}

    measurements = {f"seed {s}": {"rows": {"ours": row(4.0 + s)}, "ratios": {"hand / ours": 2.0 + s}} for s in range(3)}
    (table,) = tables_of(document("training", measurements))
    assert table.rows[0] == ("ours", "5 [4, 6]", "2.5 [2, 3]", "2.5 [2, 3]", "1.25 [1, 1.5]", "55 [54, 56]")
    assert table.rows[1][:2] == ("hand / ours", "3 [2, 4]")


def test_fits_of_tau_are_compared_with_the_streaming_one():
    rows = {"streaming": timed(20.0, tau=1.0, peak_mib=1.0), "loop": timed(100.0, tau=1.02, not_measured="no")}
    (table,) = tables_of(document("adsa", {"10 x 2": {"rows": rows, "ratios": {"loop": {"by_median": 5.0}}}}))
    assert table.rows == [
        ("10 x 2: streaming", "0.02", "-", "1", "1.0000"),
        ("10 x 2: loop", "0.1", "5.00", "-", "1.0200"),
    ]
