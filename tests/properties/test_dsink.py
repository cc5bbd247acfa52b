from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from inputs import float_tensors, mistakes, mostly, proportions, seeds
from outcomes import REFUSED, outcome

from lt_callbacks.dsink import MeanLabeler, ProxyLabeler, proxy_label_loss, proxy_labels
from lt_callbacks.dsink.class_marginal import CLASS_MARGINALS

NOT_FINITE = (float("nan"), float("inf"), -float("inf"))


@st.composite
def predictions(draw, number, specials=NOT_FINITE):
    shape = draw(st.integers(1, 24)), draw(st.integers(2, 10))
    return [draw(float_tensors(shape, specials=specials)) for _ in range(number)]


@given(
    three=predictions(3),
    kind=st.sampled_from(CLASS_MARGINALS),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    queue=st.integers(0, 2),
)
def test_rows_of_the_labels_sum_to_one_or_are_masked(three, kind, weight, queue):
    labeler = ProxyLabeler(student_weight=weight, class_marginal=kind, queue_batches=queue)
    for _ in range(2):
        loss, proxy = labeler.loss(*three, alpha=2.0)
        sums = proxy.labels.double().sum(dim=1)
        assert bool((((sums - 1).abs() < 1e-4) | (sums == 0)).all())
        assert bool((proxy.labels >= 0).all())
        is_good = torch.stack([rows.float().log_softmax(dim=1).isfinite().all(dim=1) for rows in three]).all(dim=0)
        assert bool((sums[is_good] > 0).all())
        assert bool(proxy.marginal_error.isfinite())
    assert not sums[proxy.is_nonfinite.any(dim=1)].any()
    if is_good.all():
        assert bool(loss.isfinite())
        assert float(loss) >= -1e-3


@given(pair=predictions(2, specials=()), data=st.data(), weight=st.floats(0, 1))
def test_column_sums_are_the_class_totals_asked_for(pair, data, weight):
    student, noise = (rows.double().clamp(-20, 20) for rows in pair)
    marginal = data.draw(proportions(student.shape[1]))
    found = proxy_labels(student, noise.log_softmax(dim=1), marginal, student_weight=weight, max_iterations=1000)
    wanted = marginal / marginal.sum() * len(student)
    distance = float((found.plan.sum(dim=0) - wanted).abs().sum() / len(student))
    # Not before: what is reported is the truth also where the sweeps did not suffice.
    assert distance <= float(found.marginal_error) + 1e-6
    torch.testing.assert_close(found.plan.sum(dim=1), torch.ones(len(student)).double(), rtol=0, atol=1e-6)


@given(three=predictions(3, specials=()), seed=seeds)
def test_permuted_samples_and_shifted_logits_give_the_permuted_labels(three, seed):
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(three[0]), generator=generator)
    three = [rows.double() for rows in three]
    shifted = [rows + torch.randn(len(rows), 1, generator=generator).double() for rows in three]
    for labeler in (ProxyLabeler(max_iterations=1), MeanLabeler()):
        expected = labeler(*three).labels[order]
        torch.testing.assert_close(labeler(*(rows[order] for rows in shifted)).labels, expected, rtol=0, atol=1e-6)


@given(pair=predictions(2, specials=(-float("inf"),)))
def test_the_divergence_is_not_negative_and_zero_of_itself(pair):
    logits, other = (rows.double() for rows in pair)
    logits = logits.clamp_min(-1e4).requires_grad_()
    labels = other.softmax(dim=1).nan_to_num(0.0)
    loss = proxy_label_loss(logits, labels)
    assert float(loss) >= -1e-9
    (gradient,) = torch.autograd.grad(loss, logits)
    assert bool(gradient.isfinite().all())
    assert float(gradient.sum(dim=1).abs().max()) < 1e-9
    assert abs(float(proxy_label_loss(logits, logits.softmax(dim=1)))) < 1e-9


@given(logits=mostly(float_tensors((2, 3))), labels=mostly(float_tensors((2, 3))))
def test_any_arguments_of_the_divergence_give_a_number_or_a_name(logits, labels):
    found = outcome(proxy_label_loss, logits, labels)
    assert found is REFUSED or found.shape == ()


@given(
    first=mostly(float_tensors((2, 3))),
    second=mostly(float_tensors((2, 3))),
    third=mostly(float_tensors((2, 3))),
    settings=st.fixed_dictionaries(
        {},
        optional={
            "student_weight": mistakes,
            "class_marginal": mistakes,
            "queue_batches": mostly(st.integers(-2, 3)),
            "scope": mistakes,
            "max_iterations": st.one_of(st.integers(-2, 50), st.text(max_size=2)),
            "tolerance": mistakes,
        },
    ),
)
def test_any_arguments_of_the_labeler_give_labels_or_a_name(first, second, third, settings):
    labeler = outcome(ProxyLabeler, **settings)
    if labeler is REFUSED:
        labeler = ProxyLabeler()
    found = outcome(labeler, first, second, third)
    if found is not REFUSED:
        assert bool(found.labels.isfinite().all())
