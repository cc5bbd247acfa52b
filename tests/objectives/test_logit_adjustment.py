from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.objectives import LogitAdjustment


def published_loss(logits, given_label, class_counts, tau):
    """log(1 + sum_{j != y} (pi_j / pi_y)^tau exp(z_j - z_y)), the pairwise form of the paper's Eq. 10."""
    prior = class_counts / class_counts.sum()
    losses = []
    for row, label in zip(logits, given_label, strict=True):
        ratios = [
            (prior[other] / prior[label]) ** tau * np.exp(row[other] - row[label])
            for other in range(len(prior))
            if other != label
        ]
        losses.append(np.log1p(sum(ratios)))
    return np.mean(losses)


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_equals_the_published_formula(prepared, batch, class_counts, tau):
    logits, given_label, _ = batch
    loss = prepared("logit_adjustment", tau=tau)(logits, given_label)
    expected = published_loss(logits.detach().numpy(), given_label.numpy(), class_counts, tau)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_a_rare_label_pulls_harder_than_a_frequent_one(prepared):
    logits = torch.zeros(2, 4, requires_grad=True)
    prepared("logit_adjustment")(logits, torch.tensor([0, 3])).backward()
    prior = torch.tensor([50, 20, 7, 1]) / 78
    torch.testing.assert_close(-logits.grad[0, 0] * 2, 1 - prior[0])
    torch.testing.assert_close(-logits.grad[1, 3] * 2, 1 - prior[3])


def test_negative_tau_is_refused():
    with pytest.raises(ValueError, match="`tau` must be a finite number >= 0; got -1"):
        LogitAdjustment(tau=-1)
