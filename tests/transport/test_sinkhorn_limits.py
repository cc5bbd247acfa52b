"""Where the limit of sweeps meets kernels so wide that their exponential is taken anew: every solve ends, and in order.

All solves run in one process, whose time is limited: a solve that does not end fails the tests instead of hanging them.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys

import limit_worker as worker
import pytest
import torch
from patience import PATIENCE

from lt_callbacks.transport.exponentiated_kernel import GREATEST_RANGE

WAYS = [name for name, _ in worker.ways(None)]
#: They give an answer, or None where numbers leave the range of an exponential.
MAY_PASS_ON = {"exponential", "exponential_plain", "compiled", "compiled_plain"}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """(way, shape, scale, limit, criterion, tolerance) -> plan, log class scaling, error, iterations."""
    file = tmp_path_factory.mktemp("limits") / "found.pt"
    run = subprocess.run(
        [sys.executable, worker.__file__, str(file)],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 0, f"code {run.returncode}; -24 is a solve without end: {run.stderr[-2000:]}"
    return torch.load(file, weights_only=True)


def test_every_solver_that_is_here_is_asked(found):
    assert {key[0] for key in found} == set(WAYS) >= {"logs", "products", "exponential", "auto", "rank_sums"}
    settings = len(worker.LIMITS) * len(worker.SCALES) * len(worker.CRITERIA)
    assert len(found) == settings * sum(1 if name.startswith("triton") else 4 for name in WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_no_solve_sweeps_more_often_than_it_may_and_its_numbers_are_those_of_its_plan(found, way):
    num_solved = num_early = 0
    for (name, shape, scale, limit, criterion, tolerance), result in found.items():
        if name != way:
            continue
        case = f"{shape}, scale {scale}, limit {limit}, {criterion}, {tolerance}"
        if result is None:
            assert way in MAY_PASS_ON, case
            continue
        num_solved += 1
        plan, scaling, error, iterations = result
        assert 1 <= int(iterations) <= limit, case
        assert all(bool(values.isfinite().all()) for values in (plan, scaling, error)), case
        torch.testing.assert_close(plan.sum(1), torch.ones(len(plan)), atol=5e-6, rtol=0, msg=case)

        marginal = worker.wide_problem(shape, scale)[1].double()
        deviation = (plan.double().sum(0) - marginal * (len(plan) / marginal.sum())).abs()
        relative = criterion == "relative"
        expected = (deviation / marginal).max() if relative else deviation.sum() / len(plan)
        # Float32 sums of as many entries as there are rows; a relative error divides them by masses far below 1.
        assert float(error) == pytest.approx(float(expected), rel=2e-2 if relative else 1e-3, abs=1e-4), case
        if int(iterations) < limit:
            num_early += 1
            assert float(error) <= tolerance, case
    assert num_solved
    # Both ends were met.
    assert num_early < num_solved


def swept(shape, scale, times):
    """The plans in float64 after each of so many sweeps, of which nothing is absorbed."""
    log_kernel, marginal = (values.double() for values in worker.wide_problem(shape, scale))
    log_b = (marginal * (len(log_kernel) / marginal.sum())).log()
    g, plans = torch.zeros_like(log_b), []
    for _ in range(times):
        f = -torch.logsumexp(log_kernel + g, 1, keepdim=True)
        g = log_b - torch.logsumexp(log_kernel + f, 0)
        plans.append(torch.softmax(log_kernel + g, 1))
    return plans


@pytest.mark.parametrize("way", [name for name in WAYS if name.endswith("plain")])
def test_a_plan_is_that_of_as_many_sweeps_as_were_counted(found, way):
    """Sweeps that an absorption forgets, or makes again, would not show in their number."""
    num_compared = 0
    references = {(shape, scale): swept(shape, scale, 13) for shape in worker.SHAPES for scale in worker.SCALES}
    for (name, shape, scale, limit, criterion, tolerance), result in found.items():
        if name != way or result is None:
            continue
        num_compared += 1
        plans = references[shape, scale]
        # The sweep in the log domain before an exponential is not counted.
        distances = [float((result[0] - plan).abs().max()) for plan in plans[int(result[3]) - 1 :][:2]]
        assert min(distances) <= 5e-3, f"{shape}, scale {scale}, limit {limit}, {criterion}, {tolerance}: {distances}"
    assert num_compared > 50


def test_scalings_become_wider_than_an_exponential_before_the_limit(found):
    """What this file is about happens in it, for every way: from such a range on, the exponential is taken anew."""
    widths = {key[0]: 0.0 for key in found}
    for key, result in found.items():
        if result is not None:
            widths[key[0]] = max(widths[key[0]], float(result[1].max() - result[1].min()))
    assert min(widths.values()) > math.log(GREATEST_RANGE), widths
