from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from no_host_reads import FakeCuda

from lt_callbacks.transport import sinkhorn
from lt_callbacks.transport.log_domain import solve_in_log_domain
from lt_callbacks.transport.marginal import check_problem, in_range_of, scaled, summing_to

B = [3.0, 0.0, 1.0, 4.0]
SCALES = (1e-310, 1e-200, 1e-44, 1e-30, 1e30, 1e38, 1e200, 2e307)


def kernel(dtype):
    return (2 * torch.randn(9, 4, generator=torch.Generator().manual_seed(0))).to(dtype)


@pytest.mark.parametrize("backend", ["auto", "torch", "numba"])
@pytest.mark.parametrize("tolerance", [1e-3, 0.0])
@pytest.mark.parametrize("kernel_dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize("marginal_dtype", [torch.float32, torch.float64])
def test_a_marginal_of_any_scale_gives_what_its_proportions_give(backend, tolerance, kernel_dtype, marginal_dtype):
    problem = kernel(kernel_dtype)
    settings = {"backend": backend, "tolerance": tolerance}
    expected = sinkhorn(problem, torch.tensor(B), **settings)
    greatest = torch.finfo(marginal_dtype).max / 4
    least = torch.finfo(marginal_dtype).smallest_normal / 1e6
    for scale in SCALES:
        if not least < scale < greatest:
            continue
        given = (torch.tensor(B, dtype=torch.float64) * scale).to(marginal_dtype)
        found = sinkhorn(problem, given, **settings)
        # What is hardly there at the end of the range has few digits itself.
        torch.testing.assert_close(found.plan, expected.plan, rtol=0, atol=1e-2 if scale < least * 1e6 else 1e-4)
        assert not found.plan[:, 1].any()


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64, torch.uint8, torch.float16, torch.bfloat16])
def test_counts_of_any_type_are_taken(dtype):
    expected = sinkhorn(kernel(torch.float32), torch.tensor(B)).plan
    torch.testing.assert_close(sinkhorn(kernel(torch.float32), torch.tensor(B).to(dtype)).plan, expected)


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1.0, 5e37])
def test_the_solver_in_the_log_domain_takes_any_scale_by_itself(scale):
    settings = {"tolerance": 1e-5, "relative": True, "max_iterations": 200, "accelerate": True, "stop_early": False}
    marginal = torch.tensor(B) * scale
    found = solve_in_log_domain(kernel(torch.float32), marginal, **settings)
    shares = marginal.double() / marginal.double().sum()
    torch.testing.assert_close(found.plan.double().sum(dim=0), 9 * shares, rtol=1e-4, atol=1e-6)
    assert float(found.marginal_error) < 1e-4


def test_rescaling_reads_nothing_of_a_device():
    cuda = FakeCuda()
    given = cuda.placed(torch.tensor(B, dtype=torch.float64))
    mass = cuda.placed(torch.tensor(9.0))
    with cuda.step():
        narrow = in_range_of(torch.float32, given, process_group=None)
        assert narrow.dtype == torch.float32
        assert summing_to(mass, narrow).device == cuda.device


def test_a_marginal_in_another_type_is_brought_into_its_range():
    given = 1e-200 * torch.tensor(B, dtype=torch.float64)
    assert in_range_of(torch.float64, given, process_group=None) is given
    torch.testing.assert_close(in_range_of(torch.float32, given, process_group=None), torch.tensor(B) / 4)


@pytest.mark.parametrize("wrong", [[0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0], [-1e-40, -1.0]])
def test_what_is_no_marginal_is_not_scaled(wrong):
    assert scaled(np.array(wrong), 4) is None


def test_a_rescaled_marginal_sums_to_the_rows():
    for dtype in (np.float32, np.float64):
        for scale in (1e-40, 1e-12, 1.0, 1e37):
            found = scaled((np.array(B) * scale).astype(dtype), 9)
            assert found.dtype == dtype
            assert found.sum() == pytest.approx(9, rel=1e-3)
    assert summing_to(torch.tensor(9.0), torch.zeros(2)).tolist() == [0, 0]
    assert summing_to(torch.tensor(9.0), torch.zeros(0)).tolist() == []


@pytest.mark.parametrize(
    ("log_kernel", "class_marginal", "error", "message"),
    [
        (
            np.zeros((2, 3)),
            torch.ones(3),
            TypeError,
            "`log_kernel` must be a floating tensor; got ndarray. Pass `torch.",
        ),
        ([[0.0]], torch.ones(1), TypeError, "`log_kernel` must be a floating tensor; got list. Pass `torch.as_tensor"),
        (torch.zeros(2, 3), [1, 2, 3], TypeError, "`class_marginal` must be a tensor of real numbers; got list. Pass"),
        (torch.zeros(2, 3), np.ones(3), TypeError, "`class_marginal` must be a tensor of real numbers; got ndarray"),
        (torch.zeros(2, 3), torch.ones(3) > 0, TypeError, "`class_marginal` must be .*; got torch.bool"),
        (torch.zeros(2, 3), 1j * torch.ones(3), TypeError, "`class_marginal` must be .*; got torch.complex64"),
        (torch.zeros(2, 3), torch.ones(2), ValueError, r"`class_marginal` must have shape \(3,\), .* got \(2,\)"),
        (torch.zeros(3), torch.ones(3), ValueError, r"`log_kernel` must have shape \(N, C\), classes last; got \(3,\)"),
        (
            torch.zeros(2, 3),
            torch.ones(3, device="meta"),
            ValueError,
            "`class_marginal` must be on the device of `log_kernel`, cpu; got meta. Pass `class_marginal.to",
        ),
    ],
)
def test_what_is_no_problem_is_refused_by_name(log_kernel, class_marginal, error, message):
    for function in (sinkhorn, check_problem):
        with pytest.raises(error, match=f"^{message}"):
            function(log_kernel, class_marginal)


def test_the_message_of_an_empty_marginal_stays():
    message = "`class_marginal` must have a positive sum; got zeros only. Pass expected counts."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        sinkhorn(torch.zeros(2, 2), torch.zeros(2))
