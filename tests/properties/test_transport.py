from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from inputs import FLOATS, float_tensors, mistakes, mostly, odd_numbers, proportions, seeds
from outcomes import REFUSED, outcome

from lt_callbacks.transport import SinkhornResult, sinkhorn

BACKENDS = ("auto", "torch", "numba")


@st.composite
def problems(draw, dtypes=FLOATS, specials=(), zeros=True):
    rows, classes = draw(st.integers(1, 40)), draw(st.integers(1, 12))
    kernel = draw(float_tensors((rows, classes), dtypes=dtypes, specials=specials))
    return kernel, draw(proportions(classes, zeros=zeros))


@given(
    problem=problems(specials=(float("nan"), float("inf"), -float("inf"), -1e4)),
    backend=st.sampled_from(BACKENDS),
    criterion=st.sampled_from(["total_variation", "relative"]),
    tolerance=st.sampled_from([0.0, 1e-6, 1e-3, 10.0]),
    limit=st.sampled_from([1, 2, 3, 10, 100]),
    accelerate=st.booleans(),
)
def test_rows_are_exact_and_the_error_is_that_of_the_plan(problem, backend, criterion, tolerance, limit, accelerate):
    kernel, marginal = problem
    found = sinkhorn(
        kernel,
        marginal,
        backend=backend,
        criterion=criterion,
        tolerance=tolerance,
        max_iterations=limit,
        accelerate=accelerate,
    )
    plan = found.plan.double()
    assert plan.shape == kernel.shape
    assert bool((plan >= 0).all())
    sums = plan.sum(dim=1)
    open_kernel = kernel.double().masked_fill(marginal == 0, -torch.inf)
    top = open_kernel.amax(dim=1)
    is_present = top.isfinite() & ~open_kernel.isnan().any(dim=1)
    torch.testing.assert_close(sums[is_present], torch.ones(int(is_present.sum())).double(), rtol=0, atol=1e-4)
    assert not sums[~is_present].any()
    assert not plan[:, marginal == 0].any()
    mass = float(is_present.sum())
    wanted = marginal / marginal.sum() * mass
    if mass and criterion == "total_variation":
        error = float((plan.sum(dim=0) - wanted).abs().sum() / mass)
        assert float(found.marginal_error) == pytest.approx(error, abs=1e-4)
    assert 0 <= int(found.iterations) <= limit


@given(
    problem=problems(zeros=True),
    scale=st.sampled_from([1e-300, 1e-200, 1e-100, 1e-30, 1e30, 1e100, 1e290]),
    backend=st.sampled_from(BACKENDS),
    tolerance=st.sampled_from([0.0, 1e-3]),
)
def test_only_the_proportions_of_the_marginal_count(problem, scale, backend, tolerance):
    kernel, marginal = problem
    expected = sinkhorn(kernel, marginal, backend=backend, tolerance=tolerance)
    found = sinkhorn(kernel, scale * marginal, backend=backend, tolerance=tolerance)
    # A last bit of the marginal may decide whether another sweep is made.
    is_same_length = int(found.iterations) == int(expected.iterations)
    difference = (found.plan - expected.plan).abs().sum() / max(len(kernel), 1)
    assert float(difference) < (1e-3 if is_same_length else 0.05)


@given(problem=problems(dtypes=(torch.float64,), zeros=False), seed=seeds, backend=st.sampled_from(BACKENDS))
def test_permuted_classes_and_shifted_rows_give_the_permuted_plan(problem, seed, backend):
    kernel, marginal = problem
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(kernel.shape[1], generator=generator)
    shift = 100 * torch.randn(len(kernel), 1, generator=generator).double()
    settings = {"tolerance": 1e-10, "max_iterations": 300, "backend": backend}
    expected = sinkhorn(kernel, marginal, **settings)
    found = sinkhorn((kernel + shift)[:, order], marginal[order], **settings)
    if max(float(expected.marginal_error), float(found.marginal_error)) <= 1e-10:
        torch.testing.assert_close(found.plan, expected.plan[:, order], rtol=0, atol=1e-4)


@given(
    kernel=mostly(float_tensors((4, 3), specials=(float("nan"), 1e38))),
    marginal=mostly(float_tensors((3,), specials=(float("nan"), float("inf"), 0.0))),
    settings=st.fixed_dictionaries(
        {},
        optional={
            "tolerance": mostly(odd_numbers),
            "criterion": mistakes,
            "max_iterations": mostly(st.integers(-3, 50)).filter(
                lambda limit: not (isinstance(limit, int) and limit > 10**4)
            ),
            "backend": mostly(st.sampled_from([*BACKENDS, "triton"])),
        },
    ),
)
def test_any_arguments_give_a_plan_or_a_name(kernel, marginal, settings):
    found = outcome(sinkhorn, kernel, marginal, **settings)
    if found is not REFUSED:
        assert isinstance(found, SinkhornResult)
        assert bool(found.plan.isfinite().all())
        assert bool(found.marginal_error.isfinite())
