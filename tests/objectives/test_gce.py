from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.objectives import CrossEntropy, GeneralizedCrossEntropy


def probs_of(logits):
    rows = np.exp(logits.detach().numpy())
    return rows / rows.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("q", [0.05, 0.7, 1.0])
def test_equals_the_published_formula(batch, q):
    logits, given_label, _ = batch
    given_prob = probs_of(logits)[np.arange(6), given_label.numpy()]
    loss = GeneralizedCrossEntropy(q=q)(logits, given_label)
    assert loss.item() == pytest.approx(((1 - given_prob**q) / q).mean(), rel=1e-12)


def test_gradient_is_cross_entropys_times_a_power_of_the_probability(batch):
    logits, given_label, _ = batch
    GeneralizedCrossEntropy(q=0.7)(logits, given_label).backward()
    expected = torch.from_numpy(probs_of(logits))
    given_prob = expected[torch.arange(6), given_label].clone()
    expected[torch.arange(6), given_label] -= 1
    torch.testing.assert_close(logits.grad, given_prob[:, None] ** 0.7 * expected / 6)


def test_limits_are_cross_entropy_and_absolute_error(batch):
    logits, given_label, _ = batch
    cross_entropy = CrossEntropy()(logits, given_label)
    torch.testing.assert_close(GeneralizedCrossEntropy(q=1e-7)(logits, given_label), cross_entropy, rtol=1e-5, atol=0)
    given_prob = probs_of(logits)[np.arange(6), given_label.numpy()]
    assert GeneralizedCrossEntropy(q=1.0)(logits, given_label).item() == pytest.approx((1 - given_prob).mean())


def test_truncation_equals_the_published_formula_and_stops_the_pull(prepared, batch):
    logits, given_label, _ = batch
    objective = prepared("gce", truncation=0.5, truncation_start=0.0)
    loss = objective(logits, given_label)
    given_prob = probs_of(logits)[np.arange(6), given_label.numpy()]
    losses = [(1 - max(prob, 0.5) ** 0.7) / 0.7 for prob in given_prob]
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-12)

    loss.backward()
    pulled = logits.grad.abs().sum(dim=1) > 0
    assert pulled.tolist() == (given_prob > 0.5).tolist()
    assert 0 < pulled.sum() < 6


def test_a_sample_at_the_truncation_does_not_pull(prepared, batch):
    """Its probability is k: the loss is the constant, from either side of the limit."""
    objective = prepared("gce", truncation=0.5, truncation_start=0.0)
    logits = torch.full_like(batch[0].detach(), -800.0)
    logits[:, :2] = 0.0
    logits.requires_grad_(True)
    loss = objective(logits, torch.zeros(len(logits), dtype=torch.int64))
    loss.backward()
    assert loss.item() == pytest.approx((1 - 0.5**objective.q) / objective.q)
    assert not logits.grad.any()


def test_truncation_waits_for_its_epoch(prepared, batch):
    plain = GeneralizedCrossEntropy()(*batch)
    objective = prepared("gce", truncation=0.5, max_epochs=120)
    assert objective.truncation_epoch == 40
    objective.set_epoch(39)
    torch.testing.assert_close(objective(*batch), plain)
    objective.set_epoch(40)
    assert objective(*batch) < plain


def test_truncation_needs_the_number_of_epochs(batch):
    with pytest.raises(RuntimeError, match="GeneralizedCrossEntropy depends on the training set"):
        GeneralizedCrossEntropy(truncation=0.5)(*batch)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"q": 0.0}, "`q` must be a finite number > 0 and <= 1; got 0.0. Use the objective 'cross_entropy' for q = 0."),
        ({"q": 1.1}, "`q` must be a finite number > 0 and <= 1; got 1.1"),
        ({"truncation": 1.0}, "`truncation` must be a finite number > 0 and < 1; got 1.0. None turns truncation off."),
        ({"truncation": 0.5, "truncation_start": 40}, "`truncation_start` must be .* <= 1; got 40. It is a share of"),
        ({"truncation_start": 0.5}, "`truncation_start` must be None without `truncation`; got 0.5. Set `truncation`"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        GeneralizedCrossEntropy(**settings)
