import pytest
import small_modules as m
import torch

from lt_callbacks.plugins import NaiveDistillation


def test_the_loss_is_the_divergence_from_the_mean_of_the_teachers():
    noise, imbalance = (teacher.eval() for teacher in m.teachers())
    x, logits = torch.randn(8, 6), torch.randn(8, m.NUM_CLASSES)
    target = (noise(x).double().softmax(1) + imbalance(x).double().softmax(1)) / 2
    expected = 3.0 * (target * (target.log() - logits.double().log_softmax(1))).sum(1).mean()
    add = NaiveDistillation(noise_teacher=noise, imbalance_teacher=imbalance, alpha=3.0)
    assert float(add.loss(logits, x)) == pytest.approx(float(expected), rel=1e-5)
    assert torch.allclose(add.last_step.proxy.labels, target.float(), atol=1e-6)
