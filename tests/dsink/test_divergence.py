from __future__ import annotations

import pytest
import torch
from teacher_batches import predictions

from lt_callbacks.dsink import ProxyLabels, proxy_label_loss, proxy_labels
from lt_callbacks.dsink.divergence import KnownDivergence


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
    with pytest.raises(ValueError, match="must have one shape"):
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
