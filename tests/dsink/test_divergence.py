from __future__ import annotations

import math

import pytest
import torch
from teacher_batches import predictions

from lt_callbacks.dsink import ProxyLabels, proxy_label_loss, proxy_labels
from lt_callbacks.dsink.divergence import KnownDivergence


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


@pytest.mark.parametrize("shape", [(4, 2), (3, 3), (3,)])
def test_shapes_that_differ_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"`proxy_labels` must have the shape of `logits`, \(4, 3\); got \([\d, ]+\)\."
    ):
        proxy_label_loss(torch.zeros(4, 3), torch.zeros(shape))


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"`logits` must have shape \(N, C\), classes last; got \(3,\)"):
        proxy_label_loss(torch.zeros(3), torch.zeros(3))


def known(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ProxyLabels]:
    """Logits with a graph, and labels whose divergence from them is known."""
    student, noise, imbalance = predictions(8, 5, dtype=dtype)
    labels = proxy_labels(student, noise, imbalance.float().exp().sum(0)).plan
    probe = student.clone().float().requires_grad_()
    value = proxy_label_loss(probe, labels)
    value.backward()
    logits = student.requires_grad_()
    nothing = torch.zeros(())
    return logits, ProxyLabels(
        labels=labels,
        loss_scale=1.0,
        marginal_error=nothing,
        iterations=nothing,
        num_nonfinite=nothing,
        is_nonfinite=nothing,
        known=KnownDivergence(logits=logits.detach(), value=value.detach(), gradient=probe.grad),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_it_has_the_value_and_the_gradient_of_the_loss(dtype):
    logits, proxy = known(dtype)
    loss = proxy.divergence(logits)
    assert loss.dtype == torch.float32
    (7.0 * loss).backward()
    got, logits.grad = logits.grad, None
    expected = proxy_label_loss(logits, proxy.labels)
    (7.0 * expected).backward()
    assert torch.equal(loss, expected)
    assert got.dtype == dtype
    torch.testing.assert_close(got, logits.grad, atol=0, rtol=1e-5 if dtype == torch.float32 else 1e-2)


def test_the_gradient_goes_on_to_what_made_the_logits():
    logits, proxy = known()
    weight = torch.ones((), requires_grad=True)
    alias = logits.detach()
    alias.requires_grad_()
    (proxy.divergence(alias) * weight).backward()
    assert torch.equal(alias.grad, proxy.known.gradient)
    assert torch.equal(weight.grad, proxy.known.value)


def test_other_logits_have_a_divergence_of_their_own():
    """Also equal ones at another place and the same ones read in another order."""
    logits, proxy = known()
    assert proxy.known.is_of(logits)
    for other in (logits.clone(), logits[:7], logits.detach().view(5, 8), logits.double(), logits.detach() + 1):
        assert not proxy.known.is_of(other)
    moved = (logits.detach() * 0.5).requires_grad_()
    loss = proxy.divergence(moved)
    assert torch.equal(loss, proxy_label_loss(moved, proxy.labels))
    assert not torch.equal(loss, proxy.known.value)
    with pytest.raises(ValueError, match="`proxy_labels` must have the shape of `logits`"):
        proxy.divergence(logits[:7])


def test_its_gradient_has_the_gradient_of_the_loss_too():
    logits, proxy = known()
    proxy.labels[3] = 0
    second = []
    for loss in (proxy.divergence(logits), proxy_label_loss(logits, proxy.labels)):
        (first,) = torch.autograd.grad(3.0 * loss, logits, create_graph=True)
        second.append(torch.autograd.grad(first.square().sum(), logits)[0])
    assert float(second[1].abs().max()) > 1e-3
    torch.testing.assert_close(*second, atol=1e-7, rtol=1e-5)


def test_an_evaluation_has_no_graph():
    logits, proxy = known()
    with torch.no_grad():
        assert not proxy.divergence(logits).requires_grad
    assert not proxy.divergence(logits.detach()).requires_grad
