from __future__ import annotations

import json
from pathlib import Path

import lightning as L
import pytest
import torch
from sampler_rank_workers import LABELS, batches, sampler_worker
from spawned_ranks import run_ranks
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from lt_callbacks.data import ClassBalance, ClassBalancedSampler, EpochOrder


class Seeing(L.LightningModule):
    """Writes down the indices of each epoch's batches."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: dict[int, list[list[int]]] = {}

    def training_step(self, batch, batch_idx):
        (index,) = batch
        self.seen.setdefault(self.current_epoch, []).append(index.tolist())
        return self.layer(index.float()[:, None]).sum() * 0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def fit(module: Seeing, **settings) -> Seeing:
    loader = DataLoader(
        TensorDataset(torch.arange(len(LABELS))), batch_size=4, sampler=ClassBalancedSampler(labels=LABELS, seed=5)
    )
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = L.Trainer(max_epochs=3, enable_model_summary=False, **quiet, **settings)
    trainer.fit(module, loader)
    return module


def test_draws_are_those_of_the_order_and_of_the_epoch():
    sampler = ClassBalancedSampler(labels=LABELS, balance=0.5, seed=5)
    assert isinstance(sampler, DistributedSampler)
    assert len(sampler) == len(LABELS)
    for epoch in (0, 4):
        sampler.set_epoch(epoch)
        expected = ClassBalance(labels=LABELS, balance=0.5).draws(seed=5, epoch=epoch)
        assert list(sampler) == expected.tolist()
        assert list(sampler) == expected.tolist()


def test_any_sequence_of_labels_will_do():
    expected = list(ClassBalancedSampler(labels=LABELS))
    assert list(ClassBalancedSampler(labels=LABELS.tolist())) == expected
    assert list(ClassBalancedSampler(labels=LABELS.numpy())) == expected


def test_lightning_announces_the_epochs():
    seen = fit(Seeing(), devices=1).seen
    assert seen == {epoch: [batch.tolist() for batch in batches(4, epoch=epoch)] for epoch in range(3)}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"labels": [0.5, 1.0]}, TypeError, "`labels` must be a tensor of integers; got torch.float32"),
        ({"labels": []}, TypeError, "`labels` must be a tensor of integers; got torch.float32"),
        ({"labels": 3}, ValueError, r"`labels` must have shape \(N,\) with N >= 1; got \(\)"),
        ({"labels": [0, 1], "balance": -0.1}, ValueError, "`balance` must be a finite number >= 0 and <= 1; got -0.1"),
        ({"labels": [0, 1], "seed": -1}, ValueError, "`seed` must be an integer >= 0; got -1"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        ClassBalancedSampler(**settings)


@pytest.mark.ddp
@pytest.mark.parametrize("num_ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_ranks_take_disjoint_parts_of_the_draws_of_one_process(tmp_path: Path, num_ranks: int):
    run_ranks(sampler_worker, tmp_path, num_ranks=num_ranks)
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(num_ranks)]
    # 41 draws: one is left over on two ranks, two on three.
    kept = 41 // num_ranks * num_ranks
    for epoch in (0, 3):
        alone = batches(4 * num_ranks, epoch=epoch)
        together = [torch.cat(step) for step in zip(*(found[epoch] for found in ranks), strict=True)]
        assert sum(map(len, together)) == kept
        for got, expected in zip(together, torch.cat(alone)[:kept].split(4 * num_ranks), strict=True):
            assert sorted(got.tolist()) == sorted(expected.tolist())
        # The same deal as that of the data module's loaders.
        for rank, found in enumerate(ranks):
            order = EpochOrder(
                indices=torch.arange(41),
                batch_size=4,
                shuffle=True,
                seed=5,
                num_replicas=num_ranks,
                rank=rank,
                class_balance=ClassBalance(labels=LABELS),
            )
            order.set_epoch(epoch)
            for got, key in zip(found[epoch][:-1], order, strict=False):
                assert torch.equal(got, key.samples)


@pytest.mark.ddp
def test_lightning_neither_wraps_nor_replaces_it(tmp_path: Path):
    class Writing(Seeing):
        def on_train_end(self):
            (tmp_path / f"{self.global_rank}.json").write_text(json.dumps(list(self.seen.values())))

    fit(Writing(), devices=2, strategy="ddp_fork")
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    for epoch in range(3):
        alone = torch.cat(batches(8, epoch=epoch))[:40]
        together = [sorted(sum(step, [])) for step in zip(ranks[0][epoch], ranks[1][epoch], strict=True)]
        assert together == [sorted(batch.tolist()) for batch in alone.split(8)]


@pytest.mark.parametrize("given", ["labels", None, [[0], [1, 2]], ["0", "1"], object()])
def test_what_is_no_label_is_refused_by_name(given):
    with pytest.raises(TypeError, match=r"^`labels` must be integers, one a sample; got \w+\. Pass `dataset\.targets`"):
        ClassBalancedSampler(labels=given)
