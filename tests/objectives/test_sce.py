from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.objectives import SymmetricCrossEntropy


def published_loss(logits, given_label, alpha, beta, log_zero):
    """alpha * H(y, p) + beta * H(p, y), with log 0 in the one-hot y replaced by ``log_zero``."""
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    log_one_hot = np.full_like(probs, log_zero)
    log_one_hot[np.arange(len(probs)), given_label] = 0.0
    cross_entropy = -np.log(probs[np.arange(len(probs)), given_label])
    reverse = -(probs * log_one_hot).sum(axis=1)
    return (alpha * cross_entropy + beta * reverse).mean()


@pytest.mark.parametrize(
    "settings",
    [(0.1, 1.0, -4.0), (6.0, 0.1, -4.0), (0.1, 1.0, float(np.log(1e-4))), (1.0, 0.0, -4.0), (0.0, 1.0, -4.0)],
)
def test_equals_the_published_formula(batch, settings):
    logits, given_label, _ = batch
    alpha, beta, log_zero = settings
    loss = SymmetricCrossEntropy(alpha=alpha, beta=beta, log_zero=log_zero)(logits, given_label)
    expected = published_loss(logits.detach().numpy(), given_label.numpy(), *settings)
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_defaults(batch):
    logits, given_label, _ = batch
    expected = published_loss(logits.detach().numpy(), given_label.numpy(), 0.1, 1.0, -4.0)
    assert SymmetricCrossEntropy()(logits, given_label).item() == pytest.approx(expected, rel=1e-12)


def test_gradient(batch):
    logits, given_label, _ = batch
    SymmetricCrossEntropy(alpha=0.3, beta=2.0)(logits, given_label).backward()
    probs = logits.detach().softmax(dim=1)
    given_prob = probs[torch.arange(6), given_label].clone()
    direction = probs.clone()
    direction[torch.arange(6), given_label] -= 1
    torch.testing.assert_close(logits.grad, (0.3 + 2.0 * 4.0 * given_prob)[:, None] * direction / 6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": -1.0}, "`alpha` must be a finite number >= 0; got -1.0"),
        ({"beta": -1.0}, "`beta` must be a finite number >= 0; got -1.0"),
        ({"log_zero": 0.0}, "`log_zero` must be a finite number < 0; got 0.0"),
        ({"alpha": 0, "beta": 0}, "`alpha` must be above 0 where `beta` is 0; got 0. Set one of them above 0."),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SymmetricCrossEntropy(**settings)
