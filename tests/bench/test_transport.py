import pytest

from lt_callbacks.bench import transport
from lt_callbacks.bench.document import read_bench
from lt_callbacks.bench.problems import parse_problem
from lt_callbacks.bench.timing import TimingPlan

QUICK = TimingPlan(rounds=2, sample_seconds=1e-4)
PROBLEMS = [parse_problem("random:16x4:1"), parse_problem("corr:16x4:2")]
ONLY = ("ours, torch", "matvec torch")


def run(folder, problems=PROBLEMS, **changes):
    settings = {"output": folder, "command": "lt-bench transport", "only": ONLY}
    return transport.run(problems, QUICK, **{**settings, **changes})


def test_finished_measurements_are_kept_and_only_the_others_measured(tmp_path, monkeypatch):
    first = run(tmp_path, PROBLEMS[:1])
    before = first.measurements[PROBLEMS[0].name]
    measured = []
    original = transport.measure
    monkeypatch.setattr(
        transport,
        "measure",
        lambda problem, *args, **more: measured.append(problem) or original(problem, *args, **more),
    )
    said = []
    second = run(tmp_path, say=said.append)
    assert measured == PROBLEMS[1:]
    assert second.measurements[PROBLEMS[0].name] == before
    assert "random:16x4:1: kept from bench-transport.json" in said
    assert list(read_bench(tmp_path / "bench-transport.json")["cells"]) == [problem.name for problem in PROBLEMS]


def test_a_run_that_is_stopped_leaves_its_finished_measurements(tmp_path, monkeypatch):
    original = transport.measure

    def stopped(problem, *args, **more):
        if problem is PROBLEMS[1]:
            raise KeyboardInterrupt
        return original(problem, *args, **more)

    monkeypatch.setattr(transport, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert list(read_bench(tmp_path / "bench-transport.json")["cells"]) == [PROBLEMS[0].name]


@pytest.mark.parametrize("changes", [{"seed": 1}, {"only": ("ours, torch",)}, {"search_seconds": 1.0}])
def test_other_settings_are_refused(tmp_path, changes):
    run(tmp_path, PROBLEMS[:1])
    with pytest.raises(ValueError, match="`--output` must hold measurements of one kind and setting"):
        run(tmp_path, PROBLEMS[:1], **changes)


def test_an_unknown_solver_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="`--only`"):
        run(tmp_path, only=("nobody",))
    assert not list(tmp_path.iterdir())
