"""Which solver a problem is handed to."""

from __future__ import annotations

import pytest
import torch
from reference import problem
from spawned_ranks import group_of_one

from lt_callbacks.transport import dispatch, fused, sinkhorn
from lt_callbacks.transport.column_sums import RankSums
from lt_callbacks.transport.log_domain import solve_in_log_domain


def test_rows_that_are_absent_are_solved_in_the_log_domain():
    log_kernel, marginal = (values.float() for values in problem(40, 6, 3.0))
    log_kernel[7] = torch.nan
    settings = {"tolerance": 1e-4, "max_iterations": 200, "accelerate": True}
    expected = solve_in_log_domain(log_kernel, marginal, relative=False, stop_early=True, **settings)
    got = sinkhorn(log_kernel, marginal, **settings)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
    assert bool((got.plan[7] == 0).all())


def test_the_usual_call_is_not_solved_in_the_log_domain():
    """Newton steps need fewer evaluations than any momentum."""
    log_kernel, marginal = (values.float() for values in problem(128, 10, 8.0))
    settings = {"tolerance": 1e-3, "max_iterations": 200, "accelerate": True}
    in_logs = solve_in_log_domain(log_kernel, marginal, relative=True, stop_early=True, **settings)
    assert int(sinkhorn(log_kernel, marginal, criterion="relative", **settings).iterations) < int(in_logs.iterations)


def test_numba_is_taken_when_asked_for():
    pytest.importorskip("numba", reason="the extra `numba` is not installed")
    log_kernel, marginal = (values.float() for values in problem(64, 10, 3.0))
    settings = {"tolerance": 1e-3, "relative": False, "max_iterations": 100, "accelerate": True}
    b = marginal.numpy() * (64 / float(marginal.sum()))
    from lt_callbacks.transport.compiled import solve_compiled

    expected = solve_compiled(log_kernel, b, **settings)
    got = sinkhorn(log_kernel, marginal, backend="numba")
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
    assert not torch.equal(got.plan, sinkhorn(log_kernel, marginal).plan)


@pytest.fixture
def solved_by(monkeypatch):
    """The solvers that were asked, in order; they answer as they do."""
    asked = []

    def watch(module, name):
        solver = getattr(module, name)

        def watched(*args, **kwargs):
            asked.append(name)
            return solver(*args, **kwargs)

        monkeypatch.setattr(module, name, watched)

    watch(dispatch, "solve_exponentiated")
    watch(dispatch, "solve_in_log_domain")
    monkeypatch.setattr(dispatch, "solve_fused", lambda *args, **kwargs: asked.append("solve_fused"))
    return asked


def solve(num_rows=12, *, dtype=torch.float32, tolerance=1e-3, **settings):
    log_kernel, marginal = (values.to(dtype) for values in problem(max(num_rows, 1), 5, 2.0))
    return dispatch.solve_transport(
        log_kernel[:num_rows], marginal, num_rows=num_rows, tolerance=tolerance, max_iterations=20, **settings
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("backend", ["auto", "torch"])
def test_a_cpu_takes_the_exponential(solved_by, dtype, backend):
    solve(dtype=dtype, backend=backend)
    assert solved_by == ["solve_exponentiated"]


def test_all_sweeps_and_no_rows_are_left_to_the_log_domain(solved_by):
    solve(tolerance=0.0)
    solve(0)
    assert solved_by == ["solve_in_log_domain"] * 2


def test_rows_on_several_ranks_are_left_to_the_log_domain(solved_by):
    with group_of_one() as group:
        solve(sums=RankSums(group))
    assert solved_by == ["solve_in_log_domain"]


def test_a_gpu_takes_the_fused_kernel_for_what_fits(solved_by, monkeypatch):
    monkeypatch.setattr(fused, "FORCED", True)
    meta = {"num_rows": 12, "tolerance": 1e-3, "max_iterations": 3}

    def on_device(num_classes, dtype=torch.float32, **settings):
        rows, marginal = (torch.ones(*shape, num_classes, dtype=dtype, device="meta") for shape in ((12,), ()))
        dispatch.solve_transport(rows, marginal, **meta, **settings)

    on_device(5)
    on_device(5, backend="triton")
    assert solved_by == ["solve_fused"] * 2
    for settings in ({"num_classes": 5, "backend": "torch"}, {"num_classes": 5, "dtype": torch.float64}):
        on_device(**settings)
    on_device(fused.MAX_CLASSES + 1)
    assert solved_by[2:] == ["solve_in_log_domain"] * 3
    monkeypatch.setattr(fused, "FORCED", False)
    on_device(5)
    assert solved_by[5:] == ["solve_in_log_domain"]


@pytest.mark.parametrize("rows_here", [True, False])
def test_a_marginal_that_is_none_is_refused_whichever_solver_is_asked(rows_here):
    log_kernel = torch.zeros(4, 3)
    with group_of_one() as group:
        sums = {} if rows_here else {"sums": RankSums(group)}
        for marginal, text in (([1.0, -1.0, 1.0], "finite and >= 0"), ([0.0] * 3, "have a positive sum; got zeros")):
            with pytest.raises(ValueError, match=f"`class_marginal` must .*{text}.*Pass expected counts"):
                dispatch.solve_transport(
                    log_kernel, torch.tensor(marginal), num_rows=4, tolerance=1e-3, max_iterations=5, **sums
                )
