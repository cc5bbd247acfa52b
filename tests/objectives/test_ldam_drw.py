from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.models import CosineHead
from lt_callbacks.objectives import LDAM


def published_loss(cosines, given_label, class_counts, *, scale=30.0, max_margin=0.5, beta=0.9999, weighted):
    margins = 1.0 / np.sqrt(np.sqrt(class_counts))
    margins = margins * (max_margin / margins.max())
    if weighted:
        weights = (1.0 - beta) / (1.0 - np.power(beta, class_counts))
        weights = weights / weights.sum() * len(class_counts)
    else:
        weights = np.ones(len(class_counts))
    total, total_weight = 0.0, 0.0
    for row, label in zip(cosines, given_label, strict=True):
        lowered = row.copy()
        lowered[label] -= margins[label]
        scaled = scale * lowered
        total += weights[label] * (np.log(np.exp(scaled - scaled.max()).sum()) + scaled.max() - scaled[label])
        total_weight += weights[label]
    return total / total_weight


@pytest.fixture
def cosines(batch):
    return torch.tanh(batch[0].detach())


@pytest.mark.parametrize(("epoch", "weighted"), [(0, False), (7, False), (8, True), (9, True)])
def test_equals_the_published_formula_before_and_after_the_deferral(
    prepared, batch, cosines, class_counts, epoch, weighted
):
    objective = prepared("ldam_drw", max_epochs=10)
    objective.set_epoch(epoch)
    expected = published_loss(cosines.numpy(), batch[1].numpy(), class_counts, weighted=weighted)
    assert objective(30 * cosines, batch[1]).item() == pytest.approx(expected, rel=1e-5)


def test_settings_enter_the_formula(prepared, batch, cosines, class_counts):
    settings = {"scale": 10.0, "max_margin": 0.3, "beta": 0.9}
    objective = prepared("ldam_drw", drw_start=0.0, **settings)
    expected = published_loss(cosines.numpy(), batch[1].numpy(), class_counts, weighted=True, **settings)
    assert objective(10 * cosines, batch[1]).item() == pytest.approx(expected, rel=1e-5)


def test_margins_and_weights(prepared):
    objective = prepared("ldam_drw", class_counts=(10_000, 625, 16, 1))
    torch.testing.assert_close(objective.margins, torch.tensor([0.05, 0.1, 0.25, 0.5]))
    assert objective.class_weights.sum().item() == pytest.approx(4)
    assert objective.class_weights.argsort().tolist() == [0, 1, 2, 3]


def test_paper_schedule(prepared):
    assert prepared("ldam_drw", max_epochs=200).drw_epoch == 160
    never = prepared("ldam_drw", max_epochs=10, drw_start=1.0)
    never.set_epoch(9)
    assert never.epoch < never.drw_epoch


def test_logits_of_the_cosine_head_are_what_it_expects(prepared, batch, class_counts):
    torch.manual_seed(0)
    head, features = CosineHead(5, 4).double(), torch.randn(6, 5, dtype=torch.float64)
    cosines = torch.nn.functional.cosine_similarity(features[:, None], head.weight[None], dim=2)
    expected = published_loss(cosines.detach().numpy(), batch[1].numpy(), class_counts, weighted=False)
    assert prepared("ldam_drw")(head(features), batch[1]).item() == pytest.approx(expected, rel=1e-5)


def test_the_logits_given_are_not_changed(prepared, batch):
    logits, given_label, _ = batch
    before = logits.detach().clone()
    prepared("ldam_drw")(logits, given_label).backward()
    assert torch.equal(logits.detach(), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_margin": 0.0}, "`max_margin` must be a finite number > 0 and <= 2; got 0.0. Cosines span 2."),
        ({"scale": 0.0}, "`scale` must be a finite number > 0; got 0.0"),
        ({"beta": 1.0}, "`beta` must be a finite number >= 0 and < 1; got 1.0"),
        (
            {"drw_start": 160},
            "`drw_start` must be a finite number >= 0 and <= 1; got 160. It is a share of the epochs.",
        ),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LDAM(**settings)
