from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from no_host_reads import FakeCuda

from lt_callbacks.objectives import OBJECTIVES, CrossEntropy, LogitAdjustment, Objective
from lt_callbacks.objectives.checks import checked_counts, kept_samples

NAMES = sorted(OBJECTIVES)


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("wrong", [-1, 4, -101, 10**10])
@pytest.mark.parametrize("name", NAMES)
def test_a_label_out_of_range_is_named_in_every_objective(prepared, batch, name, wrong, is_training):
    logits, given_label, index = batch
    given_label[3] = wrong
    message = rf"^`given_label` must lie in 0\.\.3; got {wrong} at position 3\. A sample without a label has -100, the"
    with pytest.raises(ValueError, match=message):
        prepared(name).train(is_training)(logits, given_label, index)


def test_labels_that_count_from_one_are_known_as_such(prepared, batch):
    with pytest.raises(ValueError, match=r"got 4 at position 3\. They count from 1: subtract 1\.$"):
        CrossEntropy()(batch[0], batch[1] + 1)


@pytest.mark.parametrize("ignore_index", [-100, -1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_the_mean_is_over_the_samples_that_have_a_label(prepared, batch, name, ignore_index):
    logits, given_label, index = batch
    given_label[2] = given_label[5] = ignore_index
    kept = given_label != ignore_index
    for epoch in (0, 9):
        one, other = prepared(name), prepared(name)
        for objective in (one, other):
            objective.set_epoch(epoch)
        one.ignore_index = ignore_index
        for is_training in (True, False):
            one.train(is_training)
            other.train(is_training)
            found = one(logits, given_label, index)
            torch.testing.assert_close(found, other(logits[kept], given_label[kept], index[kept]))
            (gradient,) = torch.autograd.grad(found, logits)
            assert not gradient[~kept].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_a_label_has_the_loss_zero_and_a_gradient(prepared, batch, name):
    logits, given_label, index = batch
    loss = prepared(name)(logits, torch.full_like(given_label, -100), index)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert float(loss) == 0
    assert not gradient.any()


def test_it_is_the_mean_that_torch_takes(batch):
    logits, given_label, _ = batch
    given_label[1] = -100
    torch.testing.assert_close(CrossEntropy()(logits, given_label), F.cross_entropy(logits, given_label))


@pytest.mark.parametrize("name", NAMES)
def test_an_ignored_label_makes_no_host_wait(prepared, name):
    cuda = FakeCuda()
    objective = cuda.placed(prepared(name))
    logits, given_label, index = cuda.placed((torch.randn(3, 4), torch.tensor([0, -100, 9]), torch.tensor([-1, 2, 3])))
    with cuda.step():
        assert objective(logits, given_label, index).device == cuda.device
    with cuda.step():
        assert kept_samples(given_label, num_classes=4, ignore_index=-100).shape == (3,)


def test_an_index_that_counts_from_the_end_stops_the_kernel_of_a_device(prepared, monkeypatch):
    """Where nothing may be read: there it would change what is remembered of another sample."""
    for place in ("lt_callbacks._tensors", "lt_callbacks.objectives.elr"):
        monkeypatch.setattr(f"{place}.can_be_read", lambda values: False)
    objective = prepared("elr")
    with pytest.raises(IndexError, match="index 20 is out of bounds"):
        objective(torch.zeros(2, 4), torch.tensor([0, 1]), torch.tensor([3, -1]))
    assert not objective.memory.any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.float16])
def test_narrow_counts_are_not_added_up_in_their_own_type(dtype):
    counts = torch.full((50,), 100).to(dtype)
    torch.testing.assert_close(checked_counts(counts), torch.full((50,), 100.0).double())
    objective = LogitAdjustment()
    objective.prepare(class_counts=counts, num_samples=9, max_epochs=1)
    torch.testing.assert_close(objective.log_prior.exp().sum(), torch.tensor(1.0))


def test_counts_of_any_size_give_a_prior():
    objective = LogitAdjustment()
    objective.prepare(
        class_counts=torch.tensor([1.7e308, 1.7e308, 1.0], dtype=torch.float64), num_samples=9, max_epochs=1
    )
    torch.testing.assert_close(objective.log_prior[:2].exp(), torch.tensor([0.5, 0.5]))
    assert bool(objective.log_prior.isfinite().all())


@pytest.mark.parametrize("given", [[0.9, 0.1], [0.5, 2.0], [1e-300, 1.0]])
def test_frequencies_in_place_of_counts_are_refused(given):
    """All below 1 would be taken for 1, and every class for equally frequent."""
    message = r"^`class_counts` must be counts of samples, not frequencies; got .* Pass `torch\.bincount"
    with pytest.raises(ValueError, match=message):
        LogitAdjustment().prepare(class_counts=torch.tensor(given, dtype=torch.float64), num_samples=9, max_epochs=1)


def test_a_mean_in_place_of_losses_is_refused(batch):
    class Mean(Objective):
        def losses(self, logits, given_label, index):
            return self.cross_entropy(logits, given_label).mean()

    with pytest.raises(
        ValueError, match=r"^`losses` must return one loss a sample, shape \(6,\); got \(\)\. Leave out"
    ):
        Mean()(batch[0], batch[1])
