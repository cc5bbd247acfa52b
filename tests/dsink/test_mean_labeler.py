from __future__ import annotations

import pytest
import torch
from teacher_batches import predictions

from lt_callbacks.dsink import MeanLabeler


def test_the_label_is_the_mean_of_both_teachers():
    student, noise, imbalance = predictions(12, 4)
    got = MeanLabeler()(student, noise, imbalance)
    torch.testing.assert_close(got.labels, (noise.exp() + imbalance.exp()) / 2)
    assert int(got.iterations) == 0
    expected = (got.labels.sum(0) - imbalance.exp().sum(0)).abs().sum() / 12
    torch.testing.assert_close(got.marginal_error, expected)


def test_the_student_has_no_say():
    student, noise, imbalance = predictions(12, 4)
    got = [MeanLabeler()(logits, noise, imbalance).labels for logits in (student, -3 * student)]
    assert torch.equal(*got)


def test_half_precision_is_averaged_in_float32():
    student, noise, imbalance = predictions(12, 4, dtype=torch.bfloat16)
    got = MeanLabeler()(student, noise, imbalance).labels
    mean = (noise.float().softmax(1) + imbalance.float().softmax(1)) / 2
    torch.testing.assert_close(got, mean, atol=1e-6, rtol=0)


def test_a_class_that_both_rule_out_gets_nothing():
    student, noise, imbalance = predictions(3, 4)
    noise[0, 1] = imbalance[0, 1] = noise[1, 2] = -torch.inf
    noise, imbalance = noise.log_softmax(1), imbalance.log_softmax(1)
    labels = MeanLabeler()(student, noise, imbalance).labels
    torch.testing.assert_close(labels, (noise.exp() + imbalance.exp()) / 2)


@pytest.mark.parametrize("bad", [0, 1])
def test_the_teacher_that_was_not_finite_is_the_one_that_is_counted(bad):
    student, *teachers = predictions(6, 4)
    teachers[bad][3, 2] = torch.nan
    got = MeanLabeler()(student, *teachers)
    assert got.num_nonfinite.tolist() == [int(bad == 0), int(bad == 1)]
    assert bool((got.labels[3] == 0).all())
    kept = torch.arange(6) != 3
    torch.testing.assert_close(got.labels[kept], ((teachers[0].exp() + teachers[1].exp()) / 2)[kept])
