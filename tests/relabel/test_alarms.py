from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from lt_callbacks.adsa import fit_tau
from lt_callbacks.relabel.alarms import LabelQuality, alarms, label_quality, label_sums

PRIOR = [60, 25, 10, 5, 3, 2]
NAMES = ("a", "b", "c", "d", "e", "f")


def a_fit(**changes):
    """A fit that nothing speaks against, on twenty images a class, less what is changed."""
    generator = torch.Generator().manual_seed(0)
    intended = torch.arange(6).repeat(20)
    prior = torch.tensor(PRIOR, dtype=torch.float64)
    logits = 3 * torch.nn.functional.one_hot(intended, 6) + 0.3 * torch.randn(120, 6, generator=generator)
    fit = fit_tau(logits + (prior / prior.sum()).log(), intended, PRIOR)
    assert fit.identified
    return replace(fit, **changes)


def quality(*, recognised=1.0, entropy=0.3):
    values = {"recognised": recognised, "entropy": entropy}
    return LabelQuality(
        **{name: torch.as_tensor(value, dtype=torch.float64).expand(6) for name, value in values.items()}
    )


def test_sums_over_parts_add_up_to_what_a_plain_loop_finds():
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(40, 5, generator=generator)
    intended = torch.arange(40) % 5
    found = label_quality(sum(label_sums(logits[part], intended[part]) for part in torch.arange(40).split(7)))
    for label in range(5):
        rows = [row.double() for row, own in zip(logits, intended.tolist(), strict=True) if own == label]
        probs = [(row - row.logsumexp(0)).exp().tolist() for row in rows]
        entropies = [-sum(p * math.log(p) for p in row) / math.log(5) for row in probs]
        hits = [max(range(5), key=row.__getitem__) == label for row in probs]
        assert float(found.entropy[label]) == pytest.approx(sum(entropies) / len(entropies))
        assert float(found.recognised[label]) == pytest.approx(sum(hits) / len(hits))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_huge_logits_have_no_entropy_and_no_nan(dtype):
    logits = torch.tensor([[1e4, -1e4], [1e4, -1e4]], dtype=dtype)
    found = label_quality(label_sums(logits, torch.tensor([0, 1])))
    assert found.entropy.tolist() == [0.0, 0.0]
    assert found.recognised.tolist() == [1.0, 0.0]


def test_good_labels_raise_no_alarm():
    assert alarms(a_fit(), quality(), class_names=NAMES) == []


def test_a_tau_that_is_not_identified_is_one_alarm_with_the_reason():
    fit = a_fit(identified=False, reason="the curve is flat")
    assert alarms(fit, quality(), class_names=NAMES) == [
        f"tau = {fit.tau:.2f} is not identified by the distilled images: the curve is flat."
    ]


def test_a_tau_at_the_edge_is_one_alarm_with_the_reason():
    fit = a_fit(tau=4.0, is_at_edge=True, identified=False, reason="the minimum may lie outside")
    (alarm,) = alarms(fit, quality(), class_names=NAMES)
    assert alarm == "tau = 4.00 is not to be trusted: the minimum may lie outside."


def test_a_head_that_is_less_sure_than_the_tail_is_over_corrected():
    # Thirds by prior: a and b, c and d, e and f. The margin is 0.1 log C.
    over = [0.45, 0.35, 0.9, 0.9, 0.25, 0.29]
    (alarm,) = alarms(a_fit(), quality(entropy=over), class_names=NAMES)
    assert alarm.startswith(
        "Over-correction: labels of the head have a mean entropy of 0.40 log C, those of the tail 0.27"
    )
    assert alarms(a_fit(), quality(entropy=[0.4, 0.4, 0.0, 0.0, 0.31, 0.31]), class_names=NAMES) == []
    assert alarms(a_fit(), quality(entropy=over[::-1]), class_names=NAMES) == []


def test_the_head_is_that_of_the_prior_not_of_the_class_order():
    fit = a_fit()
    fit = replace(fit, class_prior=fit.class_prior.flip(0))
    assert alarms(fit, quality(entropy=[0.5, 0.5, 0.3, 0.3, 0.1, 0.1]), class_names=NAMES) == []
    assert len(alarms(fit, quality(entropy=[0.1, 0.1, 0.3, 0.3, 0.5, 0.5]), class_names=NAMES)) == 1


def test_a_uniform_prior_has_no_head():
    fit = a_fit(class_prior=torch.full((6,), 1 / 6, dtype=torch.float64))
    assert alarms(fit, quality(entropy=[0.5, 0.5, 0.3, 0.3, 0.1, 0.1]), class_names=NAMES) == []


def test_classes_that_the_model_does_not_recognise_are_named():
    (alarm,) = alarms(a_fit(), quality(recognised=[1, 0.2, 0.19, 1, 1, 0.0]), class_names=NAMES)
    assert alarm.startswith(
        "Less than 20 % of the images of 2 of 6 classes are recognised by the model: c (19 %), f (0 %)."
    )
    (alarm,) = alarms(a_fit(), quality(recognised=0.1), class_names=NAMES)
    assert "e (10 %) and 1 more." in alarm
    (alarm,) = alarms(a_fit(), quality(recognised=[0.1, 0.1, 0.1, 0.1, 0.1, 0.9]), class_names=NAMES)
    assert "e (10 %). No label" in alarm


def test_of_two_classes_less_than_chance_is_not_recognised():
    fit = fit_tau(torch.eye(2).repeat(20, 1), torch.arange(2).repeat(20), [9, 1])
    found = LabelQuality(recognised=torch.tensor([0.6, 0.4]), entropy=torch.tensor([0.3, 0.3]))
    assert any(
        "Less than 50 % of the images of 1 of 2" in alarm for alarm in alarms(fit, found, class_names=("a", "b"))
    )
