from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from shot_rank_workers import padded_worker, uneven_worker
from spawned_ranks import run_ranks

from lt_callbacks.metrics import ShotAccuracy

COUNTS = [5, 900, 40, 7, 300, 41]  # many 1 4, medium 2 5, few 0 3


def reference(predicted, target, groups):
    accuracies = [np.mean(predicted[target == c] == c) for c in range(6)]
    result = {name: np.mean([accuracies[c] for c in members]) for name, members in groups.items()}
    return {"all": np.mean(predicted == target), **result}


@pytest.fixture
def labels():
    rng = np.random.default_rng(0)
    target = rng.choice(6, size=200, p=[0.3, 0.1, 0.1, 0.1, 0.2, 0.2])
    predicted = np.where(rng.random(200) < 0.6, target, rng.integers(6, size=200))
    return predicted, target


@pytest.mark.parametrize("as_logits", [True, False])
def test_equals_the_definition_over_batches(labels, as_logits):
    predicted, target = labels
    metric = ShotAccuracy(class_counts=COUNTS)
    for part in np.array_split(np.arange(200), 7):
        preds = torch.from_numpy(predicted[part])
        if as_logits:
            preds = torch.nn.functional.one_hot(preds, 6).to(torch.bfloat16) * 3
        metric.update(preds, torch.from_numpy(target[part]))
    expected = reference(predicted, target, {"many": [1, 4], "medium": [2, 5], "few": [0, 3]})
    result = metric.compute()
    assert list(result) == ["all", "many", "medium", "few"]
    for name, value in expected.items():
        assert result[name].item() == pytest.approx(value)
    assert metric.per_class()[3].item() == pytest.approx(np.mean(predicted[target == 3] == 3))


def test_a_sample_that_comes_again_counts_once(labels):
    predicted, target = map(torch.from_numpy, labels)
    once, metric = ShotAccuracy(class_counts=COUNTS), ShotAccuracy(class_counts=COUNTS)
    once.update(predicted, target)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(2))
    # Any numbers say which sample it is; the second part repeats half of the first, and samples of its own.
    for part in (order[:120], order[60:], order[190:].repeat(3)):
        metric.update(predicted[part], target[part], (part - 100).to(torch.int32) * 10**6)
    torch.testing.assert_close(metric.compute(), once.compute(), rtol=0, atol=0)
    torch.testing.assert_close(metric.per_class(), once.per_class(), rtol=0, atol=0)
    metric.reset()
    metric.update(torch.tensor([1]), torch.tensor([0]), torch.tensor([7]))
    assert metric.compute()["all"].item() == 0.0


def test_of_several_copies_the_first_counts():
    metric = ShotAccuracy(class_counts=[3, 2, 1])
    metric.update(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([4, 5]))
    metric.update(torch.tensor([2, 2]), torch.tensor([0, 1]), torch.tensor([5, 4]))
    assert metric.compute()["all"].item() == 1.0
    assert metric(torch.tensor([2]), torch.tensor([2]), torch.tensor([6]))["all"].item() == 1.0
    assert metric.compute()["all"].item() == 1.0
    assert metric.per_class().tolist() == [1.0, 1.0, 1.0]


def test_all_updates_have_an_index_or_none_has():
    metric = ShotAccuracy(class_counts=[3, 2, 1])
    metric.update(torch.tensor([0, 1]), torch.tensor([0, 1]), torch.tensor([4, 5]))
    metric.update(torch.tensor([0]), torch.tensor([0]))
    text = "`index` must be given in every update or in none; got 2 samples with one and 1 without. Pass the third"
    with pytest.raises(ValueError, match=text):
        metric.compute()
    with pytest.raises(ValueError, match=text):
        metric.per_class()
    metric.reset()
    metric.update(torch.tensor([0]), torch.tensor([0]))
    metric.update(torch.zeros(0, 3), torch.zeros(0).long(), torch.zeros(0).long())
    assert metric.compute()["all"].item() == 1.0


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        ([0, 1], TypeError, "`index` must be a tensor of integers; got list. Pass the third item of the batch"),
        (torch.zeros(2), TypeError, "`index` must be a tensor of integers; got torch.float32"),
        (torch.ones(2).bool(), TypeError, "`index` must be a tensor of integers; got torch.bool"),
        (torch.zeros(3).long(), ValueError, r"`index` must have shape \(2,\), one for each target; got \(3,\). Pass"),
    ],
)
def test_a_wrong_index_is_refused(index, error, message):
    with pytest.raises(error, match=message):
        ShotAccuracy(class_counts=[3, 2, 1]).update(torch.tensor([0, 1]), torch.tensor([0, 1]), index)


def test_thresholds(labels):
    predicted, target = map(torch.from_numpy, labels)
    metric = ShotAccuracy(class_counts=COUNTS, thresholds=(20, 100))
    metric.update(predicted, target)
    assert metric.compute()["few"].item() == pytest.approx(metric.per_class()[[0, 3]].mean().item())


def test_each_class_of_a_group_counts_the_same():
    metric = ShotAccuracy(class_counts=[9, 8, 5, 4, 2, 1])
    metric.update(torch.tensor([0] * 9 + [0]), torch.tensor([0] * 9 + [1]))
    result = metric.compute()
    assert result["many"].item() == 0.5
    assert result["all"].item() == pytest.approx(0.9)


def test_what_was_not_seen_is_left_out():
    metric = ShotAccuracy(class_counts=[9, 8, 5, 4, 2, 1])
    metric.update(torch.tensor([0, 2]), torch.tensor([0, 3]))
    result = metric.compute()
    assert result.keys() == {"all", "many", "medium"}
    assert result["many"].item() == 1.0
    assert metric.per_class().isnan().tolist() == [False, True, True, False, True, True]


def test_a_group_without_a_class_is_left_out():
    metric = ShotAccuracy(class_counts=[500, 300], thresholds=(20, 100))
    metric.update(torch.tensor([0, 1]), torch.tensor([0, 1]))
    assert metric.compute().keys() == {"all", "many"}


def test_a_network_that_diverged_is_wrong():
    metric = ShotAccuracy(class_counts=[3, 2, 1])
    metric.update(torch.full((3, 3), float("nan")), torch.tensor([0, 0, 1]))
    # One NaN is enough, also where the largest of the others, or the NaN itself, is at the target.
    metric.update(torch.tensor([[2.0, float("nan"), 1.0]] * 2), torch.tensor([0, 1]))
    assert metric.compute()["all"].item() == 0.0


def test_an_empty_batch_counts_nothing():
    metric = ShotAccuracy(class_counts=[3, 2, 1])
    metric.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    metric.update(torch.tensor([2]), torch.tensor([2], dtype=torch.int32))
    assert metric.compute()["all"].item() == 1.0


def test_reset_forward_and_copies():
    metric = ShotAccuracy(class_counts=[3, 2, 1])
    assert metric(torch.tensor([0, 1]), torch.tensor([0, 2]))["all"].item() == 0.5
    assert metric(torch.tensor([0, 1]), torch.tensor([0, 1]))["all"].item() == 1.0
    twin = copy.deepcopy(metric)
    assert twin.compute()["all"].item() == 0.75
    metric.reset()
    metric.update(torch.tensor([0]), torch.tensor([1]))
    assert metric.compute()["all"].item() == 0.0
    assert twin.compute()["all"].item() == 0.75
    assert not metric.state_dict()


@pytest.mark.parametrize(
    ("preds", "target", "error", "message"),
    [
        (
            [0],
            torch.tensor([0]),
            TypeError,
            "`preds` must be a tensor of real numbers; got list. Pass `torch.as_tensor",
        ),
        (torch.tensor([0]), [0], TypeError, "`target` must be a tensor of real numbers; got list"),
        (torch.tensor([0]), torch.tensor([0.0]), ValueError, r"`target` must be class numbers .* got torch.float32 of"),
        (torch.tensor([0]), torch.tensor([[0, 1, 0]]), ValueError, r"`target` .* shape \(1, 3\). Pass the true labels"),
        (torch.zeros(2, 4), torch.tensor([0, 1]), ValueError, r"logits of shape \(2, 3\) or .* got .* \(2, 4\). Check"),
        (
            torch.zeros(2),
            torch.tensor([0, 1]),
            ValueError,
            r"`preds` must be logits .* got torch.float32 of shape \(2,\)",
        ),
        (torch.tensor([0, 1, 1]), torch.tensor([0, 1]), ValueError, r"class numbers of shape \(2,\); got torch.int64"),
    ],
)
def test_wrong_input_is_refused(preds, target, error, message):
    with pytest.raises(error, match=message):
        ShotAccuracy(class_counts=[3, 2, 1]).update(preds, target)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="`class_counts` must be finite and >= 0"):
        ShotAccuracy(class_counts=[3, -2, 1])
    with pytest.raises(ValueError, match="`thresholds` must be two numbers"):
        ShotAccuracy(class_counts=[3, 2, 1], thresholds=(100, 20))


@pytest.mark.ddp
def test_two_processes_agree_on_the_result_of_one(labels, tmp_path):
    predicted, target = map(torch.from_numpy, labels)
    torch.save([predicted, target], tmp_path / "labels.pt")
    run_ranks(uneven_worker, tmp_path)

    metric = ShotAccuracy(class_counts=COUNTS)
    metric.update(predicted, target)
    for rank, num_own in enumerate((30, 170)):
        result, per_class, total = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        torch.testing.assert_close(result, metric.compute())
        torch.testing.assert_close(per_class, metric.per_class())
        assert total == num_own  # back to its own share, so that updates go on


@pytest.mark.ddp
@pytest.mark.parametrize("num_ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_what_a_sampler_repeats_to_fill_up_counts_once(labels, tmp_path, num_ranks):
    predicted, target = (torch.from_numpy(part)[:199] for part in labels)
    # Repeated by torch's sampler; a wrong prediction among right ones, so that counting it again would show.
    predicted[0] = (target[0] + 1) % 6
    torch.save([predicted, target], tmp_path / "labels.pt")
    run_ranks(padded_worker, tmp_path, num_ranks=num_ranks)

    metric = ShotAccuracy(class_counts=COUNTS)
    metric.update(predicted, target)
    for rank in range(num_ranks):
        got = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        torch.testing.assert_close(got["padded"], metric.compute(), rtol=0, atol=0)
        torch.testing.assert_close(got["per_class"], metric.per_class(), rtol=0, atol=0)
        torch.testing.assert_close(got["one without"], metric.compute(), rtol=0, atol=0)
        assert got["own"] == -(-199 // num_ranks)
        assert got["unaware"]["all"] != metric.compute()["all"]
        assert got["mixed"].startswith("`index` must be given in every update or in none; got")


@pytest.mark.parametrize("wrong", [-1, -100, 3, 10**9])
def test_a_target_out_of_range_is_named_and_counts_nowhere(wrong):
    metric = ShotAccuracy(class_counts=[5, 3, 1])
    message = (
        rf"^`target` must lie in 0\.\.2; got {wrong} at position 1\. Leave out samples whose class is not known\.$"
    )
    for index in (None, torch.tensor([0, 1])):
        with pytest.raises(ValueError, match=message):
            metric.update(torch.zeros(2, 3), torch.tensor([0, wrong]), index=index)
    assert not metric.total.any()
    assert not metric.outcomes


@pytest.mark.parametrize("preds", [torch.tensor([True, False]), torch.tensor([1j, 2])])
def test_predictions_that_are_no_numbers_are_refused(preds):
    with pytest.raises(TypeError, match="^`preds` must be a tensor of real numbers; got torch.(bool|complex64)"):
        ShotAccuracy(class_counts=[5, 3]).update(preds, torch.tensor([0, 1]))
