from __future__ import annotations

import math
import pickle

import pytest
import torch

from lt_callbacks.metrics.proxy_label_statistics import ProxyLabelStatistics

LABELS = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.2, 0.7, 0.1], [0.0, 0.0, 0.0]])
GIVEN = torch.tensor([0, 2, 0, 0])
TRUE = torch.tensor([1, 2, 1, 0])


def update(metric, rows=slice(None), *, error=0.5, sweeps=10, true_label=TRUE):
    truth = None if true_label is None else true_label[rows]
    metric.update(LABELS[rows], GIVEN[rows], torch.tensor(error), torch.tensor(sweeps), truth)


def test_known_values():
    metric = ProxyLabelStatistics(num_classes=3)
    update(metric, error=0.25, sweeps=12)
    got = {name: value.item() for name, value in metric.compute().items()}
    entropies = [math.log(2), 0.0, -sum(p * math.log(p) for p in (0.2, 0.7, 0.1))]
    assert got == {
        "entropy": pytest.approx(sum(entropies) / 3 / math.log(3), rel=1e-6),
        "largest_class": pytest.approx(1.2 / 3),
        "agreement": pytest.approx(2 / 3),
        "marginal_error": pytest.approx(0.25),
        "sweeps": pytest.approx(12.0),
        "accuracy": pytest.approx(2 / 3),
        "given_accuracy": pytest.approx(1 / 3),
    }


def test_a_masked_row_does_not_count():
    """Its peak would be class 0, which is both its given and its true label."""
    everything, used = (ProxyLabelStatistics(num_classes=3) for _ in range(2))
    update(everything)
    update(used, slice(0, 3))
    assert {k: v.item() for k, v in everything.compute().items()} == pytest.approx(
        {k: v.item() for k, v in used.compute().items()}
    )


def test_samples_are_weighted_alike_and_steps_too():
    metric = ProxyLabelStatistics(num_classes=3)
    update(metric, slice(0, 1), error=0.0, sweeps=2)
    update(metric, slice(1, 3), error=1.0, sweeps=4)
    whole = ProxyLabelStatistics(num_classes=3)
    update(whole, slice(0, 3), error=0.5, sweeps=3)
    got, expected = metric.compute(), whole.compute()
    assert {k: v.item() for k, v in got.items()} == pytest.approx({k: v.item() for k, v in expected.items()})


@pytest.mark.parametrize(
    ("labels", "entropy", "largest"),
    [(torch.full((4, 8), 1 / 8), 1.0, 1 / 8), (torch.eye(8)[[3, 3, 3, 3]], 0.0, 1.0)],
)
def test_the_ends_of_the_scales(labels, entropy, largest):
    metric = ProxyLabelStatistics(num_classes=8)
    metric.update(labels, torch.zeros(4, dtype=torch.int64), torch.tensor(0.0), torch.tensor(1))
    got = metric.compute()
    assert got["entropy"].item() == pytest.approx(entropy, abs=1e-6)
    assert got["largest_class"].item() == pytest.approx(largest)


def test_accuracies_are_left_out_where_no_truth_is_known_and_cover_the_steps_where_it_is():
    metric = ProxyLabelStatistics(num_classes=3)
    update(metric, slice(0, 1), true_label=None)
    assert set(metric.compute()) == {"entropy", "largest_class", "agreement", "marginal_error", "sweeps"}
    update(metric, slice(1, 2))
    got = metric.compute()
    assert got["accuracy"].item() == got["given_accuracy"].item() == 1.0
    assert got["agreement"].item() == 1.0


def test_reset_forgets():
    metric, fresh = (ProxyLabelStatistics(num_classes=3) for _ in range(2))
    update(metric, slice(0, 1), error=9.0)
    metric.compute()
    metric.reset()
    for each in (metric, fresh):
        update(each, slice(1, 3))
    assert metric.compute() == fresh.compute()


def test_labels_of_float64_and_with_a_graph():
    metric = ProxyLabelStatistics(num_classes=3)
    metric.update(LABELS.double(), GIVEN, torch.tensor(0.5, dtype=torch.float64), torch.tensor(3), TRUE)
    assert metric.compute()["largest_class"].item() == pytest.approx(0.4)


def test_states_of_ranks_are_summed():
    """What torchmetrics does at the end of an epoch, on the states of two ranks."""
    ranks = [ProxyLabelStatistics(num_classes=3) for _ in range(2)]
    update(ranks[0], slice(0, 1), error=0.0)
    update(ranks[1], slice(1, 4), error=1.0)
    whole = ProxyLabelStatistics(num_classes=3)
    update(whole, slice(0, 1), error=0.0)
    update(whole, slice(1, 4), error=1.0)
    joint = ProxyLabelStatistics(num_classes=3)
    for name in joint._defaults:
        setattr(joint, name, joint._reductions[name](torch.stack([getattr(rank, name) for rank in ranks])))
    joint._update_count = 1
    assert {k: v.item() for k, v in joint.compute().items()} == pytest.approx(
        {k: v.item() for k, v in whole.compute().items()}
    )


def test_it_survives_pickling():
    metric = pickle.loads(pickle.dumps(ProxyLabelStatistics(num_classes=3)))  # noqa: S301
    update(metric)
    assert metric.compute()["sweeps"].item() == 10


def test_a_sample_without_a_label_agrees_with_none_and_disagrees_with_none():
    metric = ProxyLabelStatistics(num_classes=3)
    given = torch.tensor([0, -100, 0, 0])
    metric.update(LABELS, given, torch.tensor(0.0), torch.tensor(1))
    # Rows 0 and 2 count: the first agrees.
    assert metric.compute()["agreement"].item() == pytest.approx(1 / 2)
    metric.reset()
    metric.update(LABELS, torch.full((4,), -100), torch.tensor(0.0), torch.tensor(1))
    assert "agreement" not in metric.compute()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (GIVEN[:, None], ValueError, r"`given_label` must have shape \(4,\), one for each row .*; got \(4, 1\)"),
        (GIVEN[:2], ValueError, r"`given_label` must have shape \(4,\).*; got \(2,\)"),
        (LABELS, TypeError, "`given_label` must be a tensor of integers; got torch.float32"),
        ([0, 2, 0, 0], TypeError, "`given_label` must be a tensor of integers; got list"),
    ],
)
def test_labels_that_are_none_are_refused(given, error, message):
    """A column of labels would be compared with every sample, and agree more than it does."""
    metric = ProxyLabelStatistics(num_classes=3)
    with pytest.raises(error, match=message):
        metric.update(LABELS, given, torch.tensor(0.0), torch.tensor(1))
    assert not metric.num_steps
