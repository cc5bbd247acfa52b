from __future__ import annotations

import pytest
from comparison_documents import document, settings
from made_results import method_result

from lt_callbacks.evaluation import pool_results
from lt_callbacks.evaluation.comparison.training_costs import TeacherRun, costs, teacher_runs, teacher_totals


def student(seed=0, *, imbalance=(5.0, False), noise=(7.0, False), seconds=10.0, method="D-SINK"):
    roles = {"imbalance": imbalance, "noise": noise}
    teachers = {role: {"seconds": took, "reused": reused} for role, (took, reused) in roles.items()}
    return method_result(method, seed, seconds=seconds, extra={"teachers": teachers})


def test_a_students_teachers_are_read_from_its_record():
    assert teacher_runs(student(noise=(0.2, True))) == [
        TeacherRun(seconds=5.0, is_reused=False),
        TeacherRun(seconds=0.2, is_reused=True),
    ]


def test_a_teachers_own_row_says_whether_it_was_reused():
    assert teacher_runs(method_result("f_L alone", seconds=4.0, extra={"reused": True})) == [
        TeacherRun(seconds=4.0, is_reused=True)
    ]


@pytest.mark.parametrize(
    "extra", [{}, {"teachers": 3}, {"teachers": {"noise": "x"}}, {"teachers": {"noise": {}}}, {"reused": "x"}]
)
def test_records_of_another_shape_say_nothing(extra):
    assert teacher_runs(method_result(extra=extra)) == []
    assert costs([method_result(extra=extra)]).teachers_trained is None


def test_means_are_of_what_was_trained():
    rows = [
        method_result("f_L alone", 0, seconds=6.0, extra={"reused": False}),
        method_result("f_L alone", 1, seconds=0.1, extra={"reused": True}),
        method_result("f_L alone", 2, seconds=8.0, extra={"reused": False}),
    ]
    found = costs(rows)
    assert (found.num_runs, found.mean_seconds, found.longest) == (3, 7.0, 8.0)
    assert (found.teachers_trained, found.teachers_reused, found.teacher_seconds) == (2, 1, 7.0)


def test_a_row_that_trains_nothing_has_no_time():
    assert costs([method_result(seconds=0.0)]).mean_seconds is None
    assert costs([]).longest is None


def test_each_teacher_of_a_run_counts_once():
    results = [
        method_result("f_L alone", 0, extra={"reused": False}),
        method_result("f_N alone", 0, extra={"reused": True}),
        student(0, noise=(7.0, True), method="naive distillation"),
        student(0, noise=(7.0, True)),
    ]
    found = pool_results({"a": document(settings(), results), "b": document(settings(), [student(1)])})
    assert teacher_totals(found) == (3, 1)


def test_rows_of_teachers_count_where_no_student_tells_of_them():
    results = [
        method_result("f_L alone", 0, extra={"reused": False}),
        method_result("f_L alone", 1, extra={"reused": True}),
        method_result("CE", 0),
    ]
    assert teacher_totals(pool_results({"a": document(settings(), results)})) == (1, 1)


def test_one_document_with_several_settings_has_teachers_for_each():
    results = [method_result("f_L alone", 0, extra={"reused": False}, setting=name) for name in ("x", "y")]
    assert teacher_totals(pool_results({"a": document(settings(), results)})) == (2, 0)
