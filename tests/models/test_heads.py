from __future__ import annotations

import pytest
import torch
from torch import nn

from lt_callbacks.models.heads import CosineHead, make_head


def test_logits_are_scaled_cosines():
    torch.manual_seed(0)
    head, features = CosineHead(6, 3, scale=30.0).double(), torch.randn(5, 6, dtype=torch.float64)
    expected = [
        [30 * (row @ weight / (row.norm() * weight.norm())).item() for weight in head.weight] for row in features
    ]
    torch.testing.assert_close(head(features), torch.tensor(expected, dtype=torch.float64))


def test_scale_of_features_and_weights_does_not_matter():
    torch.manual_seed(0)
    head, features = CosineHead(6, 3, scale=7.0), torch.randn(5, 6)
    before = head(features)
    with torch.no_grad():
        head.weight.mul_(torch.tensor([[0.1], [5.0], [30.0]]))
    torch.testing.assert_close(head(1e3 * features), before)
    assert head(features).abs().max() <= 7.0


def test_half_precision_does_not_cost_precision():
    torch.manual_seed(0)
    head, features = CosineHead(64, 10), torch.randn(8, 64).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(features)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, head(features.float()))
    assert head.bfloat16()(features).dtype == torch.float32


def test_a_feature_of_zeros_and_a_huge_one_are_finite():
    features = torch.stack([torch.zeros(6), torch.full((6,), 1e15)]).requires_grad_()
    logits = CosineHead(6, 3)(features)
    logits.sum().backward()
    assert torch.equal(logits[0], torch.zeros(3))
    assert torch.isfinite(logits).all()
    assert torch.isfinite(features.grad).all()


def test_make_head():
    assert isinstance(make_head("linear", 4, 2), nn.Linear)
    assert make_head("cosine", 4, 2).scale == 30.0
    assert "scale=30" in repr(make_head("cosine", 4, 2))


def test_wrong_settings_are_refused():
    with pytest.raises(
        ValueError, match="`head` must be one of 'linear', 'cosine'; got 'cosin'. Did you mean 'cosine'"
    ):
        make_head("cosin", 4, 2)
    for head in ("linear", "cosine"):
        with pytest.raises(ValueError, match="`num_classes` must be an integer >= 2; got 1"):
            make_head(head, 4, 1)
    with pytest.raises(ValueError, match="`in_features` must be an integer >= 1; got 0"):
        CosineHead(0, 3)
    with pytest.raises(ValueError, match="`scale` must be a finite number > 0; got 0"):
        CosineHead(4, 3, scale=0)
