import pytest

from lt_callbacks.bench import libraries
from lt_callbacks.bench.libraries import library_solvers
from lt_callbacks.bench.loops import plain_sweeps
from lt_callbacks.bench.problems import Criterion, Problem, exact_plan, judge, kernel_and_marginal
from lt_callbacks.bench.solvers import find

PROBLEM = Problem("random", 32, 6, 1.0)
CRITERION = Criterion()


def solvers(begin):
    return [solver for solver in library_solvers(device="cpu") if solver.name.startswith(begin)]


def check(solver):
    """The solver solves this problem, with the plan the right way round."""
    log_kernel, marginal = kernel_and_marginal(PROBLEM)
    reached = find(solver, log_kernel, marginal, CRITERION, plain_sweeps=plain_sweeps(log_kernel, marginal, CRITERION))
    assert reached.plan.shape == log_kernel.shape
    assert judge(reached.plan, marginal, CRITERION).meets_criterion
    assert float((reached.plan.double() - exact_plan(log_kernel, marginal)).abs().max()) < 5e-3
    return reached


def test_pot_solves_it_in_every_form():
    pytest.importorskip("ot")
    found = solvers("POT")
    assert len(found) == 8
    for solver in found:
        assert not check(solver).is_normalised


def test_geomloss_solves_an_easy_one():
    pytest.importorskip("geomloss")
    check(*solvers("GeomLoss"))


def test_ott_solves_it_with_and_without_copies():
    pytest.importorskip("ott")
    import numpy as np
    import torch

    (solver,) = [solver for solver in solvers("OTT") if solver.name == "OTT lse"]
    reached = check(solver)
    bare = solver.bare_at(*kernel_and_marginal(PROBLEM))(reached.iterations, reached.is_normalised)
    assert torch.allclose(torch.from_numpy(np.array(bare())), reached.plan)


@pytest.mark.slow
def test_ott_solves_it_with_every_acceleration():
    pytest.importorskip("ott")
    for solver in solvers("OTT"):
        check(solver)


def test_libraries_that_are_not_installed_are_left_out(monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: None)
    assert library_solvers(device="cpu") == []


def test_numpy_is_not_asked_on_a_gpu(monkeypatch):
    monkeypatch.setattr(libraries, "find_spec", lambda name: name == "ot")
    names = [solver.name for solver in library_solvers(device="cuda")]
    assert names
    assert not any("numpy" in name for name in names)
