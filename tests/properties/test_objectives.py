from __future__ import annotations

import contextlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from inputs import INTEGERS, float_tensors, mistakes, mostly, odd_numbers, seeds
from outcomes import REFUSED, outcome

from lt_callbacks.objectives import OBJECTIVES, build_objective

NAMES = st.sampled_from(sorted(OBJECTIVES))
NUM_SAMPLES = 50


@st.composite
def batches(draw, dtypes=(torch.float64,), scales=(1e-3, 1.0, 10.0, 300.0)):
    """Logits (B, C), labels (B,), distinct indices (B,) and class counts (C,)."""
    num_classes, size = draw(st.integers(2, 8)), draw(st.integers(1, 20))
    logits = draw(float_tensors((size, num_classes), dtypes=dtypes, scales=scales))
    generator = torch.Generator().manual_seed(draw(seeds))
    given_label = torch.randint(num_classes, (size,), generator=generator).to(draw(st.sampled_from(INTEGERS)))
    index = torch.randperm(NUM_SAMPLES, generator=generator)[:size]
    # Narrow types hold no large number, and wide ones a very large one.
    dtype, greatest = draw(
        st.sampled_from([(torch.uint8, 255), (torch.int8, 127), (torch.int64, 2**60), (torch.float64, 1e308)])
    )
    high = int(min(greatest, 2**62))
    counts = torch.randint(0, high, (num_classes,), generator=generator)
    counts[0] = high
    counts = counts.to(dtype) if dtype != torch.float64 else counts.double() * (1e308 / high)
    if dtype == torch.float64:
        counts = counts.floor()
    return logits, given_label, index, counts


def prepared(name, counts, epoch=9):
    objective = build_objective(name, settings={"truncation": 0.3} if name == "gce" else None)
    objective.prepare(class_counts=counts, num_samples=NUM_SAMPLES, max_epochs=10)
    objective.set_epoch(epoch)
    return objective


@given(
    name=NAMES,
    batch=batches(dtypes=(torch.float16, torch.bfloat16, torch.float32, torch.float64)),
    epoch=st.sampled_from([0, 9]),
)
def test_loss_and_gradient_are_finite(name, batch, epoch):
    logits, given_label, index, counts = batch
    objective = prepared(name, counts, epoch)
    logits = logits.requires_grad_()
    for _ in range(2):
        loss = objective(logits, given_label, index)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.shape == ()
    assert bool(loss.isfinite())
    assert bool(gradient.isfinite().all())


@given(name=NAMES, batch=batches(scales=(0.1, 1.0, 5.0)), seed=seeds)
def test_permuted_classes_and_samples_and_shifted_logits_change_nothing(name, batch, seed):
    logits, given_label, index, counts = batch
    generator = torch.Generator().manual_seed(seed)
    order, rows = (torch.randperm(size, generator=generator) for size in (logits.shape[1], len(logits)))
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    shifted = logits + torch.randn(len(logits), 1, generator=generator).double()
    one, other = prepared(name, counts), prepared(name, counts[order])
    for _ in range(2):
        expected = one(logits, given_label, index)
        found = other(shifted[rows][:, order], place[given_label.long()][rows], index[rows])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@given(name=NAMES, batch=batches(scales=(0.1, 1.0, 5.0)), ignored=st.sampled_from([-100, -1, 255]), seed=seeds)
def test_samples_without_a_label_are_as_if_they_were_not_there(name, batch, ignored, seed):
    logits, given_label, index, counts = batch
    keep = torch.rand(len(logits), generator=torch.Generator().manual_seed(seed)) < 0.6
    given_label = given_label.long().masked_fill(~keep, ignored)
    one, other = prepared(name, counts), prepared(name, counts)
    one.ignore_index = ignored
    logits = logits.requires_grad_()
    found = one(logits, given_label, index)
    (gradient,) = torch.autograd.grad(found, logits)
    assert not gradient[~keep].any()
    if keep.any():
        expected = other(logits[keep], given_label[keep], index[keep])
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(one.eval()(logits, given_label), other.eval()(logits[keep], given_label[keep]))
    else:
        assert float(found) == 0 == float(one.eval()(logits, given_label))


@given(
    name=NAMES, batch=batches(), wrong=st.sampled_from([-1, -2, -99, -101, 8, 255, 10**12]), is_training=st.booleans()
)
def test_a_label_out_of_range_is_named_with_its_place(name, batch, wrong, is_training):
    logits, given_label, index, counts = batch
    given_label = given_label.long()
    at = len(given_label) // 2
    given_label[at] = wrong
    objective = prepared(name, counts).train(is_training)
    with pytest.raises(
        ValueError, match=rf"^`given_label` must lie in 0\.\.\d+; got {wrong} at position {at}\. "
    ) as caught:
        objective(logits, given_label, index)
    assert "`ignore_index`" in str(caught.value) or "subtract 1" in str(caught.value)


@given(
    name=NAMES,
    counts=mostly(st.lists(odd_numbers, min_size=2, max_size=4)),
    num_samples=st.one_of(st.just(5), st.integers(-2, 20), st.text(max_size=2), st.floats()),
    max_epochs=mostly(st.just(2)),
)
def test_any_facts_of_the_training_set_are_taken_or_named(name, counts, num_samples, max_epochs):
    if isinstance(counts, list):
        with contextlib.suppress(TypeError, ValueError, RuntimeError, OverflowError):
            counts = torch.tensor(counts, dtype=torch.float64)
    objective = build_objective(name)
    found = outcome(objective.prepare, class_counts=counts, num_samples=num_samples, max_epochs=max_epochs)
    if found is not REFUSED and objective.num_classes < 1000:
        objective(torch.zeros(1, objective.num_classes), torch.tensor([0]), torch.tensor([0])).isfinite()


@given(
    name=NAMES,
    logits=mostly(st.just(torch.zeros(2, 3))),
    given_label=mostly(st.lists(st.integers(-101, 3), min_size=2, max_size=2).map(torch.tensor)),
    index=mostly(st.lists(st.integers(-60, 60), min_size=2, max_size=2).map(torch.tensor)),
    is_training=st.booleans(),
)
def test_any_batch_gives_a_loss_or_a_name(name, logits, given_label, index, is_training):
    objective = prepared(name, torch.tensor([3, 2, 1])).train(is_training)
    found = outcome(objective, logits, given_label, index, also=("logits", "given_label", "index"))
    if found is not REFUSED and bool(logits.isfinite().all()):
        assert bool(found.isfinite())


@given(
    name=mostly(NAMES),
    settings=mostly(
        st.none(),
        st.dictionaries(
            st.sampled_from(
                [
                    "q",
                    "truncation",
                    "truncation_start",
                    "beta",
                    "alpha",
                    "log_zero",
                    "tau",
                    "scale",
                    "max_margin",
                    "drw_start",
                    "regularization",
                    "x",
                ]
            ),
            mistakes,
            max_size=2,
        ),
    ),
)
def test_any_settings_build_an_objective_or_are_named(name, settings):
    also = (
        "q",
        "truncation",
        "truncation_start",
        "beta",
        "alpha",
        "log_zero",
        "tau",
        "scale",
        "max_margin",
        "drw_start",
        "regularization",
    )
    outcome(build_objective, name, settings=settings, also=also)
