from __future__ import annotations

import pytest
import torch
from teacher_batches import predictions

from lt_callbacks.dsink.log_kernel import log_kernel


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_it_is_the_weighted_sum_of_log_probabilities(weight):
    student, noise, _ = predictions(6, 3, dtype=torch.float64)
    expected = weight * student.log_softmax(1) + (1 - weight) * noise
    torch.testing.assert_close(log_kernel(student, noise, student_weight=weight), expected)


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


def test_vectors_are_refused():
    with pytest.raises(ValueError, match=r"`student_logits` must have shape \(N, C\), classes last; got \(3,\)"):
        log_kernel(torch.zeros(3), torch.zeros(3))
