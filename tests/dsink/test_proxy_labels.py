from __future__ import annotations

import itertools

import pytest
import torch
from teacher_batches import predictions
from torch import Tensor

from lt_callbacks.dsink import proxy_label_loss, proxy_labels
from lt_callbacks.dsink.log_kernel import log_kernel

EXACT = {"tolerance": 0.0, "max_iterations": 3000}


def distance(labels: Tensor, student: Tensor, noise: Tensor, weight: float = 0.5) -> Tensor:
    """What Q minimises: w KL(q || p) + (1 - w) KL(q || p_N), summed over rows; leading dimensions are kept."""
    student, noise = student.log_softmax(1), noise.log_softmax(1)
    to_both = torch.xlogy(labels, labels) - labels * (weight * student + (1 - weight) * noise)
    return to_both.sum(dim=(-2, -1))


def test_of_all_two_by_two_labels_with_the_marginals_q_is_the_nearest():
    student, noise, _ = predictions(2, 2, dtype=torch.float64, scale=1.5)
    b = 0.7
    # All matrices with rows of 1 and columns (b, 2 - b).
    x = torch.linspace(0, b, 100_001, dtype=torch.float64)
    labels = torch.stack([x, 1 - x, b - x, 1 - b + x], dim=1).view(-1, 2, 2)
    best = labels[distance(labels, student, noise).argmin()]
    got = proxy_labels(student, noise, torch.tensor([b, 2 - b], dtype=torch.float64), **EXACT)
    torch.testing.assert_close(got.plan, best, atol=2e-5, rtol=0)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_every_feasible_change_of_q_raises_the_distance(weight):
    student, noise, imbalance = predictions(5, 4, dtype=torch.float64, scale=1.0)
    labels = proxy_labels(student, noise, imbalance.exp().sum(0), student_weight=weight, **EXACT).plan
    torch.testing.assert_close(labels.sum(0), imbalance.exp().sum(0), atol=1e-9, rtol=0)
    least = distance(labels, student, noise, weight)
    # Changes between two rows and two classes, which leave all sums as they are, span the feasible ones.
    for (i, k), (j, m) in itertools.product(itertools.combinations(range(5), 2), itertools.permutations(range(4), 2)):
        change = torch.zeros_like(labels)
        change[i, j] = change[k, m] = 1
        change[i, m] = change[k, j] = -1
        for share in (0.02, 0.9):
            step = share * labels[change < 0].min()
            assert distance(labels + step * change, student, noise, weight) > least + 1e-9


def test_without_a_conflict_q_is_the_normalised_geometric_mean():
    student, noise, _ = predictions(20, 5)
    mean = (0.5 * (student.log_softmax(1) + noise)).softmax(1)
    got = proxy_labels(student, noise, mean.sum(0), tolerance=1e-6, max_iterations=500)
    torch.testing.assert_close(got.plan, mean, atol=1e-4, rtol=0)


def test_settings_reach_the_solver():
    student, noise, imbalance = predictions(64, 8, scale=8.0)
    marginal = imbalance.exp().sum(0)
    coarse = proxy_labels(student, noise, marginal, tolerance=0.1)
    relative = proxy_labels(student, noise, marginal, tolerance=0.1, criterion="relative")
    plain = proxy_labels(student, noise, marginal, tolerance=1e-5, accelerate=False, max_iterations=1000)
    fast = proxy_labels(student, noise, marginal, tolerance=1e-5, max_iterations=1000)
    assert int(proxy_labels(student, noise, marginal, tolerance=0, max_iterations=2).iterations) == 2
    assert int(relative.iterations) > int(coarse.iterations)
    assert int(plain.iterations) > int(fast.iterations)
    with pytest.raises(ValueError, match="`backend` must be one of"):
        proxy_labels(student, noise, marginal, backend="numpy")


def test_q_has_no_graph():
    student, noise, imbalance = (part.requires_grad_() for part in predictions(6, 3))
    result = proxy_labels(student, noise, imbalance.exp().sum(0))
    assert not any(part.requires_grad for part in result)
    assert not log_kernel(student, noise).requires_grad


def test_a_class_that_either_model_rules_out_is_ruled_out():
    student, noise, imbalance = predictions(6, 3)
    student[0, 0] = noise[1, 2] = -torch.inf
    plan = proxy_labels(student, noise.log_softmax(1), imbalance.exp().sum(0)).plan
    assert plan[0, 0] == plan[1, 2] == 0
    torch.testing.assert_close(plan.sum(1), torch.ones(6))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    student, noise, imbalance = predictions(16, 5, dtype=dtype)
    got = proxy_labels(student, noise, imbalance.float().exp().sum(0))
    assert got.plan.dtype == torch.float32
    expected = proxy_labels(student.float(), noise.float(), imbalance.float().exp().sum(0))
    assert torch.equal(got.plan, expected.plan)


def test_autocast_changes_nothing():
    student, noise, imbalance = predictions(32, 6)
    marginal = imbalance.exp().sum(0)
    expected = proxy_labels(student, noise, marginal)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = proxy_labels(student, noise, marginal)
        loss = proxy_label_loss(student, got.plan)
    assert torch.equal(got.plan, expected.plan)
    assert torch.equal(loss, proxy_label_loss(student, expected.plan))


@pytest.mark.parametrize("shape", [(4, 2), (3, 3), (3,)])
def test_shapes_that_differ_are_refused(shape):
    with pytest.raises(
        ValueError,
        match=r"`noise_log_probs` must have the shape of `student_logits`, \(4, 3\); got \([\d, ]+\)\..*same classes",
    ):
        proxy_labels(torch.zeros(4, 3), torch.zeros(shape), torch.ones(3))


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(ValueError, match="`student_weight` must be a finite number >= 0 and <= 1; got"):
        proxy_labels(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(3), student_weight=weight)
