from __future__ import annotations

import itertools
import math

import pytest
import torch
from teacher_batches import predictions
from torch import Tensor

from lt_callbacks.dsink import proxy_label_loss, proxy_labels
from lt_callbacks.dsink.proxy_labels import log_kernel

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


@pytest.mark.parametrize(("weight", "ruled_out"), [(0.0, "student"), (1.0, "noise")])
def test_a_model_of_no_weight_has_no_say_even_where_it_rules_a_class_out(weight, ruled_out):
    """0 * log 0 is NaN in floating point."""
    student, noise, _ = predictions(6, 3)
    inputs = {"student": student.log_softmax(1), "noise": noise}
    expected = log_kernel(inputs["student"], inputs["noise"], student_weight=weight)
    inputs[ruled_out] = inputs[ruled_out].clone()
    inputs[ruled_out][2, 1] = -torch.inf
    inputs[ruled_out] = inputs[ruled_out].log_softmax(1)
    got = log_kernel(inputs["student"], inputs["noise"], student_weight=weight)
    torch.testing.assert_close(got, expected)


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


def test_the_loss_is_the_mean_divergence():
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]))
    labels = torch.tensor([[0.5, 0.5], [0.5, 0.5], [0.0, 1.0]])
    second = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    expected = (0 + second + math.log(1 / 0.1)) / 3
    assert proxy_label_loss(logits, labels).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_gradient_is_p_minus_q_over_n(dtype):
    student, noise, imbalance = predictions(8, 5, dtype=dtype)
    student.requires_grad_()
    labels = proxy_labels(student, noise, imbalance.double().exp().sum(0)).plan
    loss = proxy_label_loss(student, labels)
    loss.backward()
    expected = (student.detach().float().softmax(1) - labels) / 8
    assert student.grad.dtype == dtype
    tolerance = {torch.float64: 1e-7, torch.float32: 1e-6, torch.bfloat16: 1e-3}[dtype]
    torch.testing.assert_close(student.grad.float(), expected.float(), atol=tolerance, rtol=0)


def test_nothing_flows_into_the_labels():
    logits = torch.zeros(2, 3, requires_grad=True)
    labels = torch.full((2, 3), 1 / 3, requires_grad=True)
    proxy_label_loss(logits, labels).backward()
    assert labels.grad is None


def test_a_row_of_zeros_has_no_part_but_counts():
    logits, labels = predictions(4, 3)[0].requires_grad_(), torch.full((4, 3), 1 / 3)
    labels[1] = 0
    loss = proxy_label_loss(logits, labels)
    loss.backward()
    assert bool((logits.grad[1] == 0).all())
    kept = torch.tensor([0, 2, 3])
    assert loss.item() == pytest.approx(0.75 * proxy_label_loss(logits[kept], labels[kept]).item())


def test_where_both_rule_a_class_out_there_is_no_nan():
    logits = torch.tensor([[0.0, 1.0, -torch.inf]], requires_grad=True)
    loss = proxy_label_loss(logits, torch.tensor([[0.5, 0.5, 0.0]]))
    loss.backward()
    p = torch.tensor([0.0, 1.0]).softmax(0)
    assert loss.item() == pytest.approx(float((0.5 * (0.5 / p).log()).sum()), rel=1e-6)
    torch.testing.assert_close(logits.grad, torch.cat([p - 0.5, torch.zeros(1)])[None])


def test_an_empty_batch_costs_nothing_and_keeps_its_graph():
    logits = torch.zeros(0, 3, requires_grad=True)
    loss = proxy_label_loss(logits, torch.zeros(0, 3))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.shape == (0, 3)


def test_logits_of_1e4_stay_finite():
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    loss = proxy_label_loss(logits, torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    loss.backward()
    assert loss.item() == pytest.approx((0.5 * 2e4 + math.log(0.5) + 2e4) / 2)
    torch.testing.assert_close(logits.grad, torch.tensor([[0.25, -0.25], [-0.5, 0.5]]))


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
    logits = torch.zeros(4, 3)
    with pytest.raises(
        ValueError, match=r"`logits` and `proxy_labels` must have one shape \(N, C\); got \(4, 3\) and \("
    ):
        proxy_label_loss(logits, torch.zeros(shape))
    with pytest.raises(ValueError, match=r"`student_logits` and `noise_log_probs` must have one shape.*same classes"):
        proxy_labels(logits, torch.zeros(shape), torch.ones(3))


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"must have one shape \(N, C\); got \(3,\) and \(3,\)"):
        proxy_label_loss(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match=r"must have one shape \(N, C\); got \(3,\) and \(3,\)"):
        log_kernel(torch.zeros(3), torch.zeros(3))


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(ValueError, match="`student_weight` must be a finite number >= 0 and <= 1; got"):
        proxy_labels(torch.zeros(2, 3), torch.zeros(2, 3), torch.ones(3), student_weight=weight)
