import pytest
import torch

from lt_callbacks.bench import measure as measuring
from lt_callbacks.bench import ours
from lt_callbacks.bench.measure import measure, ratios, solvers_for
from lt_callbacks.bench.ours import our_solvers, solve
from lt_callbacks.bench.problems import Criterion, Problem, judge, kernel_and_marginal
from lt_callbacks.bench.solvers import Solver
from lt_callbacks.bench.timing import TimingPlan

PROBLEM = Problem("corr", 32, 5, 2.0)
QUICK = TimingPlan(rounds=3, sample_seconds=1e-4)
FEW = ("ours, torch", "matvec numpy", "probability space")


def measured(**changes):
    return measure(PROBLEM, QUICK, **{"criterion": Criterion(), "only": FEW, **changes})


def test_a_problem_tells_times_and_float64_errors_of_all_solvers():
    found = measured()
    assert list(found["solvers"]) == ["ours, torch", "probability space (DINO)", "matvec numpy"]
    for row in found["solvers"].values():
        assert 0 < row["min_ms"] <= row["quartiles_ms"][0] <= row["median_ms"] <= row["quartiles_ms"][1]
        assert row["num_samples"] == 3
        assert 0 <= row["column_error"] <= 1.01e-3
        assert row["row_error"] <= 1e-4
        assert 0 < row["distance_max_entry"] < 0.05
        assert row["iterations"] >= 1
    assert found["solvers"]["ours, torch"]["stops_itself"]
    assert not found["solvers"]["matvec numpy"]["stops_itself"]


def test_ratios_are_those_of_the_rows_beside_them():
    found = measured()
    rows, ratio = found["solvers"], found["ratios"]["ours, torch"]
    for kind, name in (("best_peer", "probability space (DINO)"), ("floor", "matvec numpy")):
        assert ratio[kind]["name"] == name
        expected = rows[name]["median_ms"] / rows["ours, torch"]["median_ms"]
        assert ratio[kind]["by_median"] == pytest.approx(expected, abs=1e-3)
    assert "naive" not in ratio


def test_extras_and_solvers_that_fall_short_are_no_peers():
    def row(group, median, **more):
        return {"group": group, "median_ms": median, "min_ms": median, **more}

    found = ratios(
        {
            "ours, torch": row("ours", 2.0),
            "OTT lse": row("library", 6.0),
            "OTT lse, no copies": row("extra", 1.0),
            "matvec torch": row("floor", 1.0),
            "POT sinkhorn torch": {"group": "library", "not_timed": "not finite"},
            "naive log-domain": row("loop", 4.0),
        }
    )
    assert found["ours, torch"]["best_peer"] == {"name": "naive log-domain", "by_median": 2.0, "by_min": 2.0}
    assert found["ours, torch"]["best_library"]["name"] == "OTT lse"
    assert found["ours, torch"]["naive"]["by_median"] == 2.0


def test_a_peer_that_lies_or_fails_is_listed_with_the_reason_and_not_timed(monkeypatch):
    def lies(log_kernel, class_marginal):
        return lambda count, normalise: lambda: torch.softmax(log_kernel, dim=1)

    def fails(log_kernel, class_marginal):
        raise ImportError("no such backend")

    peers = [Solver(name="liar", group="library", at=lies), Solver(name="broken", group="library", at=fails)]
    monkeypatch.setattr(measuring, "library_solvers", lambda device: peers)
    rows = measured(only=("ours, torch", "liar", "broken"))["solvers"]
    assert rows["liar"]["not_timed"].startswith("column error")
    assert rows["broken"]["not_timed"] == "ImportError: no such backend"
    assert not any("median_ms" in rows[name] for name in ("liar", "broken"))


def test_our_own_failure_is_an_error(monkeypatch):
    def fails(log_kernel, class_marginal):
        raise RuntimeError("a bug")

    monkeypatch.setattr(
        measuring, "our_solvers", lambda **_: ([Solver(name="ours, torch", group="ours", at=fails)], {})
    )
    with pytest.raises(RuntimeError, match="a bug"):
        measured(only=("ours",))


def test_what_we_refuse_is_listed_with_the_reason(monkeypatch):
    def refuses(log_kernel, class_marginal):
        return lambda limit, normalise: (
            lambda: solve(log_kernel, class_marginal[:-1], Criterion(), backend="torch", limit=limit).plan
        )

    refusing = Solver(name="ours, torch", group="ours", at=refuses, finds_count=True)
    monkeypatch.setattr(measuring, "our_solvers", lambda **_: ([refusing], {}))
    rows = measured(only=("ours",))["solvers"]
    assert rows["ours, torch"]["not_timed"].startswith("`class_marginal` must have shape (5,)")


def test_a_backend_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setitem(ours.BACKENDS, "cpu", ("torch", "quantum"))
    rows = measured(only=("ours",))["solvers"]
    assert "quantum" in rows["ours, quantum"]["not_timed"]
    assert "median_ms" in rows["ours, torch"]


def test_the_default_limit_is_an_extra_row_that_says_whether_it_was_enough():
    sharp = Problem("corr", 64, 20, 32.0)
    tv = Criterion(kind="total_variation")
    rows = measure(sharp, QUICK, criterion=tv, only=("ours, torch",), default_limit=2)["solvers"]
    extra = rows["ours, torch, 2 sweeps at most"]
    assert extra["group"] == "extra"
    assert not extra["is_met"]
    assert extra["column_error"] > 1e-3 >= rows["ours, torch"]["column_error"]
    assert "median_ms" in extra


def test_an_unknown_solver_is_refused():
    with pytest.raises(ValueError, match=r"`--only` must be beginnings of names of solvers; got sinkhole\."):
        solvers_for("cpu", Criterion(), ["sinkhole"])


@pytest.mark.parametrize("criterion", [Criterion(), Criterion(kind="total_variation", tolerance=1e-2)])
def test_ours_stops_by_itself_at_the_criterion(criterion):
    log_kernel, marginal = kernel_and_marginal(PROBLEM)
    found, _ = our_solvers(device="cpu", criterion=criterion)
    assert found[0].name == "ours, torch"
    for solver in found:
        assert solver.finds_count
        assert judge(solver.at(log_kernel, marginal)(1000, False)(), marginal, criterion).meets_criterion
    assert int(solve(log_kernel, marginal, criterion, backend="torch", limit=1000).iterations) < 1000
