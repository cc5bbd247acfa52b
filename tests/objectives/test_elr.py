from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from objective_rank_workers import elr_worker
from spawned_ranks import run_ranks

from lt_callbacks.objectives import EarlyLearningRegularization


class PublishedELR:
    """The published loss in float64 numpy: memory first, then the loss with the new memory."""

    def __init__(self, num_samples, num_classes, beta, lambda_):
        self.memory = np.zeros((num_samples, num_classes))
        self.beta, self.lambda_ = beta, lambda_

    def __call__(self, logits, given_label, index):
        probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        cross_entropy = -np.log(probs[np.arange(len(probs)), given_label]).mean()
        clamped = np.clip(probs, 1e-4, 1 - 1e-4)
        terms = []
        for row, sample in zip(clamped, index, strict=True):
            self.memory[sample] = self.beta * self.memory[sample] + (1 - self.beta) * row / row.sum()
            terms.append(np.log(1 - self.memory[sample] @ row))
        return cross_entropy + self.lambda_ * np.mean(terms)


@pytest.mark.parametrize(("beta", "lambda_"), [(0.7, 3.0), (0.9, 7.0), (0.0, 1.0)])
def test_equals_the_published_formula_over_steps(prepared, beta, lambda_):
    objective = prepared("elr", beta=beta, regularization=lambda_)
    reference = PublishedELR(20, 4, beta, lambda_)
    generator = torch.Generator().manual_seed(5)
    for _ in range(8):
        # Large enough that the clamp acts.
        logits = 6 * torch.randn(7, 4, generator=generator, dtype=torch.float64)
        given_label = torch.randint(4, (7,), generator=generator)
        index = torch.randperm(20, generator=generator)[:7]
        expected = reference(logits.numpy(), given_label.numpy(), index.numpy())
        loss = objective(logits.requires_grad_(), given_label, index)
        assert loss.item() == pytest.approx(expected, rel=1e-5, abs=2e-5)
        np.testing.assert_allclose(objective.memory.numpy(), reference.memory, atol=1e-6)


def test_defaults(prepared, batch):
    logits, given_label, index = batch
    reference = PublishedELR(20, 4, 0.7, 3.0)
    expected = reference(logits.detach().numpy(), given_label.numpy(), index.numpy())
    assert prepared("elr")(*batch).item() == pytest.approx(expected, rel=1e-6)


def test_gradient_flows_through_the_prediction_but_not_the_memory(prepared, batch):
    logits, given_label, index = batch
    objective = prepared("elr")
    objective(*batch)
    (gradient,) = torch.autograd.grad(objective(*batch), logits)

    memory = objective.memory.double()[index]
    probs = logits.softmax(dim=1).clamp(1e-4, 1 - 1e-4)
    formula = F.cross_entropy(logits, given_label) + 3 * torch.log(1 - (memory * probs).sum(dim=1)).mean()
    torch.testing.assert_close(gradient, torch.autograd.grad(formula, logits)[0], rtol=1e-5, atol=1e-7)
    assert not objective.memory.requires_grad


def test_memory_follows_the_index_not_the_position(prepared, batch):
    logits, given_label, index = batch
    straight, shuffled = prepared("elr"), prepared("elr")
    order = torch.tensor([5, 2, 0, 3, 1, 4])
    for _ in range(2):
        straight(logits, given_label, index)
        shuffled(logits[order], given_label[order], index[order])
    torch.testing.assert_close(shuffled.memory, straight.memory)
    assert straight.memory.any(dim=1).nonzero()[:, 0].tolist() == sorted(index.tolist())


def test_of_a_sample_that_stands_several_times_the_first_prediction_is_remembered(prepared):
    logits = 2 * torch.randn(6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    index = torch.tensor([9, 3, 9, 0, 3, 9])
    objective = prepared("elr")
    for _ in range(2):
        objective(logits, torch.tensor([0, 1, 2, 3, 0, 1]), index)
    once = prepared("elr")
    for _ in range(2):
        once(logits[[0, 1, 3]], torch.tensor([0, 1, 3]), index[[0, 1, 3]])
    assert torch.equal(objective.memory, once.memory)


def test_memory_rests_without_gradients_and_in_eval_mode(prepared, batch):
    logits, given_label, index = batch
    objective = prepared("elr")
    first = objective(*batch)
    memory = objective.memory.clone()
    with torch.no_grad():
        again = objective(*batch)
    objective.eval()(logits * 2, given_label, index)
    assert torch.equal(objective.memory, memory)
    torch.testing.assert_close(again, first.detach())


def test_a_second_step_before_backward_does_not_spoil_the_first(prepared, batch):
    logits, given_label, index = batch
    expected = torch.autograd.grad(prepared("elr")(*batch), logits)[0]
    objective = prepared("elr")
    first = objective(*batch)
    objective(-logits.detach(), given_label, index)
    torch.testing.assert_close(torch.autograd.grad(first, logits)[0], expected)


@pytest.mark.parametrize("wrong", [-1, -20, 20, 10**12])
def test_an_index_that_is_no_sample_is_named_and_touches_no_memory(prepared, batch, wrong):
    """A negative one would count from the end, and change what is remembered of another sample."""
    logits, given_label, index = batch
    objective = prepared("elr")
    index[2] = wrong
    message = rf"^`index` must lie in 0\.\.19; got {wrong} at position 2\. The objective was prepared for 20 samples"
    with pytest.raises(ValueError, match=message):
        objective(logits, given_label, index)
    assert not objective.memory.any()


def test_many_classes_saturated_stay_finite():
    objective = EarlyLearningRegularization(beta=0.0, regularization=7.0)
    objective.prepare(class_counts=torch.ones(1000), num_samples=2, max_epochs=1)
    logits = torch.full((2, 1000), -1e4)
    logits[:, 0] = 1e4
    for _ in range(3):
        loss = objective(logits, torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"beta": 1.0}, "`beta` must be a finite number >= 0 and < 1; got 1.0"),
        ({"regularization": -1.0}, "`regularization` must be a finite number >= 0; got -1.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        EarlyLearningRegularization(**settings)


@pytest.mark.ddp
def test_two_processes_with_uneven_shares_have_the_memory_of_one(tmp_path):
    generator = torch.Generator().manual_seed(0)
    batches = [
        (
            torch.randn(5, 4, generator=generator),
            torch.tensor([0, 1, 2, 3, 0]),
            torch.randperm(10, generator=generator)[:5],
        )
        for _ in range(4)
    ]
    torch.save(batches, tmp_path / "batches.pt")
    run_ranks(elr_worker, tmp_path)

    single = EarlyLearningRegularization()
    single.prepare(class_counts=torch.ones(4), num_samples=10, max_epochs=1)
    for rows, given_label, index in batches:
        single(rows, given_label, index)
    for rank in range(2):
        memory = torch.load(tmp_path / f"memory{rank}.pt", weights_only=True)
        torch.testing.assert_close(memory, single.memory)
