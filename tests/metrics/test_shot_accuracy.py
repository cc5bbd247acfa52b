from __future__ import annotations

import copy
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch

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
        ([0], torch.tensor([0]), TypeError, "`preds` must be a tensor; got list. Pass `torch.as_tensor"),
        (torch.tensor([0]), [0], TypeError, "`target` must be a tensor; got list"),
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


RANK_PROGRAM = """
import sys
import torch, torch.distributed as dist
from lt_callbacks.metrics import ShotAccuracy

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
metric = ShotAccuracy(class_counts=[5, 900, 40, 7, 300, 41])
predicted, target = torch.load(f"{folder}/labels.pt", weights_only=True)
own = slice(0, 30) if rank == 0 else slice(30, 200)
metric.update(predicted[own], target[own])
torch.save([metric.compute(), metric.per_class(), metric.total.sum()], f"{folder}/result{rank}.pt")
dist.destroy_process_group()
"""


@pytest.mark.ddp
def test_two_processes_agree_on_the_result_of_one(labels, tmp_path):
    predicted, target = map(torch.from_numpy, labels)
    torch.save([predicted, target], tmp_path / "labels.pt")
    program = textwrap.dedent(RANK_PROGRAM)
    ranks = [subprocess.Popen([sys.executable, "-c", program, str(rank), str(tmp_path)]) for rank in range(2)]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]

    metric = ShotAccuracy(class_counts=COUNTS)
    metric.update(predicted, target)
    for rank, num_own in enumerate((30, 170)):
        result, per_class, total = torch.load(tmp_path / f"result{rank}.pt", weights_only=True)
        torch.testing.assert_close(result, metric.compute())
        torch.testing.assert_close(per_class, metric.per_class())
        assert total == num_own  # back to its own share, so that updates go on
