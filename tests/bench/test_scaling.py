from lt_callbacks.bench import scaling
from lt_callbacks.bench.problems import Criterion, Problem
from lt_callbacks.bench.scaling import AXES, Axis
from lt_callbacks.bench.timing import TimingPlan

QUICK = TimingPlan(rounds=2, sample_seconds=1e-4)


def test_each_axis_varies_what_its_name_says():
    fields = {"rows": "num_rows", "classes": "num_classes", "sharpness": "sharpness", "sharpness-tv": "sharpness"}
    for name, field in fields.items():
        for place, problem in AXES[name].problems.items():
            assert getattr(problem, field) == place
    for place, problem in AXES["memory"].problems.items():
        assert problem.num_rows * problem.num_classes == place
    assert AXES["sharpness-tv"].criterion == Criterion(kind="total_variation")


def test_points_are_measured_by_the_axis_own_criterion_and_kept(tmp_path, monkeypatch):
    problems = {2.0: Problem("corr", 16, 4, 2.0), 4.0: Problem("corr", 16, 4, 4.0)}
    axes = {"sharpness": Axis("s", problems), "sharpness-tv": Axis("s", problems, scaling.TOTAL_VARIATION)}
    monkeypatch.setattr(scaling, "AXES", axes)
    settings = {"output": tmp_path, "command": "lt-bench scaling", "only": ("ours, torch", "matvec torch")}
    first = scaling.run(list(axes), QUICK, points=[2.0], **settings)
    assert list(first.measurements) == ["sharpness:2", "sharpness-tv:2"]
    relative, by_variation = first.measurements.values()
    assert (relative["criterion"], by_variation["criterion"]) == ("relative", "total_variation")
    assert relative["plain_sweeps"] >= by_variation["plain_sweeps"]
    assert "ours, torch, 100 sweeps at most" in by_variation["solvers"]
    said = []
    second = scaling.run(list(axes), QUICK, say=said.append, **settings)
    assert list(second.measurements) == ["sharpness:2", "sharpness-tv:2", "sharpness:4", "sharpness-tv:4"]
    assert second.measurements["sharpness:2"] == relative
    assert "sharpness:2: kept from bench-scaling.json" in said
