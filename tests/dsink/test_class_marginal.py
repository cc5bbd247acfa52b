from __future__ import annotations

import pytest
import torch

from lt_callbacks.dsink.class_marginal import CLASS_MARGINALS, ClassMarginal

#: Student log-probabilities and imbalance-robust probabilities of three samples, the last of which does not count.
STUDENT = torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]).log()
PROBS = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("batch", [1.4, 0.6]), ("none", [1.4, 0.6]), ("uniform", [1.0, 1.0]), ("student", [0.75, 1.25])],
)
def test_known_values(kind, expected):
    torch.testing.assert_close(ClassMarginal(kind=kind)(STUDENT, PROBS), torch.tensor(expected))


@pytest.mark.parametrize("kind", CLASS_MARGINALS)
def test_the_total_is_the_number_of_samples_that_count(kind):
    marginal = ClassMarginal(kind=kind)
    for _ in range(3):
        assert marginal(STUDENT, PROBS).sum().item() == pytest.approx(2.0)


def test_the_running_average_has_a_known_value_and_is_scaled_to_the_batch():
    marginal = ClassMarginal(kind="running", momentum=0.9)
    torch.testing.assert_close(marginal(STUDENT, PROBS), torch.tensor([1.4, 0.6]))
    # One sample, all of its mass in the second class: shares 0.9 * (0.7, 0.3) + 0.1 * (0, 1).
    one = torch.tensor([[0.0, 1.0]])
    torch.testing.assert_close(marginal(STUDENT[:1], one), torch.tensor([0.63, 0.37]))
    four = one.expand(4, 2)
    torch.testing.assert_close(marginal(STUDENT[:1].expand(4, 2), four), 4 * torch.tensor([0.567, 0.433]))


def test_momentum_zero_is_the_batch():
    marginal = ClassMarginal(kind="running", momentum=0.0)
    marginal(STUDENT, PROBS.flip(1))
    torch.testing.assert_close(marginal(STUDENT, PROBS), torch.tensor([1.4, 0.6]))


@pytest.mark.parametrize("num_before", [0, 1])
def test_batches_without_a_usable_sample_leave_no_trace(num_before):
    running, reference = ClassMarginal(kind="running"), ClassMarginal(kind="running")
    for _ in range(num_before):
        running(STUDENT, PROBS)
        reference(STUDENT, PROBS)
    for nothing in (torch.zeros(3, 2), torch.zeros(0, 2)):
        assert bool((running(STUDENT[: len(nothing)], nothing) == 0).all())
    for probs in (PROBS.flip(1), PROBS):
        torch.testing.assert_close(running(STUDENT, probs), reference(STUDENT, probs))


def test_a_saved_average_is_continued_in_the_dtype_of_the_batch():
    first, resumed = ClassMarginal(kind="running"), ClassMarginal(kind="running")
    assert first.state_dict() == {}
    first(STUDENT, PROBS)
    state = first.state_dict()
    resumed.load_state_dict({"average": state["average"].double()})
    expected = first(STUDENT, PROBS.flip(1))
    # The state of before is not changed by steps that follow.
    torch.testing.assert_close(state["average"], torch.tensor([0.7, 0.3]))
    got = resumed(STUDENT, PROBS.flip(1))
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected)
    resumed.load_state_dict({})
    torch.testing.assert_close(resumed(STUDENT, PROBS), torch.tensor([1.4, 0.6]))


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="`class_marginal` must be one of 'batch', 'running'.*Did you mean 'batch'"):
        ClassMarginal(kind="batches")
    with pytest.raises(ValueError, match="`momentum` must be a finite number >= 0 and < 1; got 1.0"):
        ClassMarginal(kind="running", momentum=1.0)
