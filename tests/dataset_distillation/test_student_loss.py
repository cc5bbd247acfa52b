import math

import numpy as np
import pytest
import torch

from lt_callbacks.dataset_distillation import StudentLoss

BATCH, NUM_CLASSES = 6, 4


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        "logits": torch.randn(BATCH, NUM_CLASSES, generator=generator) * 2,
        "soft_logits": torch.randn(BATCH, NUM_CLASSES, generator=generator) * 3 + 1,
        "classes": torch.tensor([0, 1, 2, 3, 1, 2]),
        "partner_classes": torch.tensor([1, 1, 0, 2, 3, 2]),
        "share": torch.tensor([1.0, 0.25, 0.5, 0.0, 0.9, 0.4]),
    }


def softmax(row):
    exps = [math.exp(value - max(row)) for value in row]
    return [value / sum(exps) for value in exps]


def kl_by_hand(logits, soft_logits, temperature):
    """T^2 times the mean KL divergence from the teacher to the student, float64 loops."""
    total = 0.0
    for own, wanted in zip(logits.double().tolist(), soft_logits.double().tolist(), strict=True):
        p, q = softmax([z / temperature for z in wanted]), softmax([z / temperature for z in own])
        total += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
    return temperature**2 * total / len(logits)


def mse_by_hand(logits, soft_logits):
    return float(np.mean((logits.double().numpy() - soft_logits.double().numpy()) ** 2))


def hard_by_hand(given):
    total = 0.0
    for row in range(BATCH):
        p = softmax(given["logits"][row].double().tolist())
        share = float(given["share"][row])
        own, other = int(given["classes"][row]), int(given["partner_classes"][row])
        total -= share * math.log(p[own]) + (1 - share) * math.log(p[other])
    return total / BATCH


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 30.0])
def test_kl_is_the_teachers_divergence_times_the_squared_temperature(temperature):
    given = batch()
    found = StudentLoss(kind="kl", temperature=temperature)(**given)
    assert float(found) == pytest.approx(kl_by_hand(given["logits"], given["soft_logits"], temperature), rel=1e-4)


def test_mse_is_the_mean_over_samples_and_classes():
    given = batch()
    expected = mse_by_hand(given["logits"], given["soft_logits"])
    assert float(StudentLoss(kind="mse")(**given)) == pytest.approx(expected, rel=1e-5)
    # The temperature is that of `kl`.
    assert float(StudentLoss(kind="mse", temperature=9.0)(**given)) == pytest.approx(expected, rel=1e-5)


def test_hard_is_the_cross_entropy_with_both_classes_of_a_mixed_view():
    given = batch()
    expected = hard_by_hand(given)
    assert float(StudentLoss(kind="hard")(**{**given, "soft_logits": None})) == pytest.approx(expected, rel=1e-5)
    # Labels that are there are not read.
    assert float(StudentLoss(kind="hard")(**given)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["kl", "mse"])
def test_the_weight_adds_the_hard_term(kind):
    given = batch()
    soft = float(StudentLoss(kind=kind)(**given))
    both = float(StudentLoss(kind=kind, hard_weight=0.4)(**given))
    assert both - soft == pytest.approx(0.4 * hard_by_hand(given), rel=1e-4)
    hard = StudentLoss(kind="hard", hard_weight=0.4)(**given)
    assert float(hard) == pytest.approx(hard_by_hand(given), rel=1e-5)


def test_a_constant_added_to_a_row_changes_kl_nowhere_and_mse_everywhere():
    given = batch()
    shift = torch.linspace(-20, 20, BATCH)[:, None]
    for name in ("logits", "soft_logits"):
        shifted = {**given, name: given[name] + shift}
        kl = StudentLoss(kind="kl", temperature=2.0)
        assert float(kl(**shifted)) == pytest.approx(float(kl(**given)), rel=1e-4)
        mse = StudentLoss(kind="mse")
        assert float(mse(**shifted)) > float(mse(**given)) + 50


@pytest.mark.parametrize("kind", ["kl", "mse"])
def test_a_student_that_agrees_has_no_loss_and_its_gradient_does_not_shrink_with_the_temperature(kind):
    given = batch()
    loss = StudentLoss(kind=kind)
    assert float(loss(**{**given, "logits": given["soft_logits"]})) == pytest.approx(0, abs=1e-6)
    sizes = []
    for temperature in (8.0, 32.0):
        logits = given["logits"].clone().requires_grad_(True)
        StudentLoss(kind=kind, temperature=temperature)(**{**given, "logits": logits}).backward()
        sizes.append(float(logits.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.3)


@pytest.mark.parametrize("kind", ["kl", "mse", "hard"])
def test_the_gradient_reaches_the_student(kind):
    given = batch()
    given["logits"].requires_grad_(True)
    StudentLoss(kind=kind, hard_weight=0.1)(**given).backward()
    assert bool((given["logits"].grad != 0).any(dim=1).all())
    assert given["soft_logits"].grad is None


@pytest.mark.parametrize("kind", ["kl", "mse", "hard"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_compared_in_float32(kind, dtype):
    given = batch()
    given["logits"] = given["logits"].to(dtype)
    found = StudentLoss(kind=kind)(**given)
    expected = StudentLoss(kind=kind)(**{**given, "logits": given["logits"].float()})
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_logits_of_1e4_stay_finite():
    given = batch()
    for kind in ("kl", "mse", "hard"):
        large = {**given, "logits": given["logits"] * 1e4, "soft_logits": given["soft_logits"] * 1e4}
        large["logits"].requires_grad_(True)
        loss = StudentLoss(kind=kind, temperature=1.0)(**large)
        loss.backward()
        assert bool(loss.isfinite())
        assert bool(large["logits"].grad.isfinite().all())


def test_soft_labels_that_are_missing_are_named():
    assert [StudentLoss(kind=kind).needs_soft_labels for kind in ("hard", "kl", "mse")] == [False, True, True]
    for kind in ("kl", "mse"):
        with pytest.raises(ValueError, match=f"`soft_logits` must be given with kind '{kind}'; got None"):
            StudentLoss(kind=kind)(**{**batch(), "soft_logits": None})


@pytest.mark.parametrize(
    ("setting", "error", "text"),
    [
        ({"kind": "hrad"}, ValueError, "`kind` must be one of 'hard', 'kl', 'mse'; got 'hrad'. Did you mean 'hard'?"),
        ({"temperature": 0.0}, ValueError, "`temperature` must be a finite number > 0; got 0.0"),
        ({"hard_weight": -0.1}, ValueError, "`hard_weight` must be a finite number >= 0; got -0.1"),
        ({"temperature": "4"}, TypeError, "`temperature` must be a finite number > 0; got '4'"),
    ],
)
def test_settings_out_of_range_are_refused(setting, error, text):
    with pytest.raises(error, match=text):
        StudentLoss(**setting)
