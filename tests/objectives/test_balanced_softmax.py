from __future__ import annotations

import numpy as np
import pytest
import torch


def test_equals_the_published_formula(prepared, batch, class_counts):
    logits, given_label, _ = batch
    rows = logits.detach().numpy()
    weighted = class_counts * np.exp(rows)
    probs = weighted / weighted.sum(axis=1, keepdims=True)
    expected = -np.log(probs[np.arange(6), given_label.numpy()]).mean()
    assert prepared("balanced_softmax")(logits, given_label).item() == pytest.approx(expected, rel=1e-6)


def test_is_logit_adjustment_at_tau_one(prepared, batch):
    torch.testing.assert_close(prepared("balanced_softmax")(*batch), prepared("logit_adjustment")(*batch))


def test_equal_counts_are_cross_entropy(prepared, batch):
    loss = prepared("balanced_softmax", class_counts=(9, 9, 9, 9))(*batch)
    torch.testing.assert_close(loss, prepared("cross_entropy")(*batch))
