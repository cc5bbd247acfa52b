"""Data modules within a `Trainer`: fits, resumes, ranks."""

from __future__ import annotations

import json
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from corrupted_data import CORRUPTION, corrupted
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.nn import functional as F

from lt_callbacks.corruption import Imbalance
from lt_callbacks.data import LongTailedDataModule, Source, digits


class Recorder(L.LightningModule):
    """A linear classifier that keeps which samples it saw."""

    def __init__(self, num_pixels: int, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(num_pixels, num_classes))
        self.trained_on: list[tuple[int, list[int]]] = []
        self.validated_on: list[int] = []

    def training_step(self, batch, batch_idx):
        images, labels, index = batch
        self.trained_on.append((self.current_epoch, index.tolist()))
        return F.cross_entropy(self.layers(images), labels)

    def validation_step(self, batch, batch_idx):
        self.validated_on += batch[2].tolist()

    def test_step(self, batch, batch_idx):
        self.log("accuracy", (self.layers(batch[0]).argmax(dim=1) == batch[1]).float().mean())

    def predict_step(self, batch, batch_idx):
        return batch[2]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)

    def samples_of(self, epoch: int) -> list[int]:
        return sum((index for at, index in self.trained_on if at == epoch), [])


def trainer(**changes: object) -> L.Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return L.Trainer(**{"max_epochs": 2, "accelerator": "cpu", "num_sanity_val_steps": 0, **quiet, **changes})


def test_two_epochs_on_digits_see_every_sample_in_new_orders():
    module = LongTailedDataModule(source=digits(), imbalance=Imbalance(factor=20), noise=CORRUPTION["noise"])
    model = Recorder(64, 10)
    fit = trainer()
    fit.fit(model, module)
    for epoch in (0, 1):
        assert sorted(model.samples_of(epoch)) == module.train_indices.tolist()
    assert model.samples_of(0) != model.samples_of(1)
    assert sorted(set(model.validated_on)) == module.val_indices.tolist()
    # an index order per (seed, epoch), whoever runs the loop
    loader = module.train_dataloader()
    loader.sampler.set_epoch(1)
    assert torch.cat([index for _, _, index in loader]).tolist() == model.samples_of(1)

    predicted = torch.cat(fit.predict(model, module))
    assert predicted.tolist() == module.train_indices.tolist()
    assert 0 < fit.test(model, module, verbose=False)[0]["accuracy"] <= 1


@pytest.mark.parametrize(
    ("residence", "sampling"), [("device", "shuffled"), ("workers", "shuffled"), ("device", "class_balanced")]
)
def test_a_run_resumed_from_any_checkpoint_ends_with_the_same_weights(tmp_path: Path, residence: str, sampling: str):
    source = digits()

    def run(ckpt_path: Path | None = None, *callbacks: L.Callback) -> Recorder:
        torch.manual_seed(0)
        model = Recorder(64, 10)
        module = LongTailedDataModule(
            source=source,
            imbalance=Imbalance(factor=20),
            batch_size=100,
            residence=residence,
            num_workers=0,
            sampling=sampling,
        )
        fit = trainer(max_epochs=3, callbacks=list(callbacks), enable_checkpointing=bool(callbacks))
        fit.fit(model, module, ckpt_path=ckpt_path)
        return model

    every_step = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    every_epoch = ModelCheckpoint(tmp_path, filename="after-{epoch}", save_top_k=-1)
    straight = run(None, every_step, every_epoch)
    checkpoints = sorted(tmp_path.glob("*.ckpt"))
    assert len(checkpoints) == 12 + 3
    for checkpoint in checkpoints:
        resumed = run(checkpoint)
        rest = len(straight.trained_on) - len(resumed.trained_on)
        assert resumed.trained_on == straight.trained_on[rest:]
        for expected, got in zip(straight.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(expected, got), checkpoint.name


@pytest.mark.parametrize("residence", ["device", "workers"])
def test_class_balanced_batches_have_all_given_classes_alike(numbered_source: Source, residence: str):
    settings = {"sampling": "class_balanced", "residence": residence, "num_workers": 0, "validation_fraction": 0.1}
    module = corrupted(numbered_source, **settings)
    plain = corrupted(numbered_source, validation_fraction=0.1)
    model = Recorder(32, 4)
    fit = trainer(max_epochs=30)
    fit.fit(model, module)
    seen = np.concatenate([model.samples_of(epoch) for epoch in range(30)])
    assert len(seen) == 30 * len(module.train_indices)
    assert set(seen) <= set(module.train_indices.tolist())
    share = np.bincount(module.given_labels[seen], minlength=4) / len(seen)
    assert module.class_counts.max() > 2 * module.class_counts.min()
    assert np.abs(share - 0.25).max() < 4 * (0.25 * 0.75 / len(seen)) ** 0.5
    assert model.samples_of(0) != model.samples_of(1)
    # Everything that is not trained on comes once and in order.
    assert torch.cat(fit.predict(model, module)).tolist() == plain.train_indices.tolist()
    assert sorted(set(model.validated_on)) == plain.val_indices.tolist()
    assert module.class_counts.tolist() == plain.class_counts.tolist()


def test_overfitting_sees_the_same_batches_in_each_epoch(numbered_source: Source):
    model = Recorder(32, 4)
    trainer(overfit_batches=2).fit(model, corrupted(numbered_source))
    assert model.samples_of(0) == model.samples_of(1)
    assert len(model.samples_of(0)) == 64


def test_without_validation_there_is_nothing_to_validate_on(numbered_source: Source):
    module, model = corrupted(numbered_source, validation_fraction=0), Recorder(32, 4)
    trainer(max_epochs=1).fit(model, module)
    assert model.validated_on == []
    assert sorted(model.samples_of(0)) == list(range(module.num_samples))
    assert len(module.val_indices) == 0


@pytest.mark.ddp
@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
def test_ranks_share_out_every_sample_once(numbered_source: Source, tmp_path: Path):
    class Sharing(Recorder):
        def on_train_end(self):
            content = [self.samples_of(0), self.samples_of(1), self.validated_on]
            (tmp_path / f"{self.global_rank}.json").write_text(json.dumps(content))

    module = corrupted(numbered_source, batch_size=10, eval_batch_size=3)
    trainer(devices=2, strategy="ddp_fork").fit(Sharing(32, 4), module)
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    for epoch in (0, 1):
        assert sorted(ranks[0][epoch] + ranks[1][epoch]) == module.train_indices.tolist()
    assert sorted(ranks[0][2] + ranks[1][2]) == sorted([*module.val_indices, *module.val_indices])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_are_made_on_the_trainer_s_device():
    class OnDevice(Recorder):
        def training_step(self, batch, batch_idx):
            assert all(part.is_cuda for part in batch)
            return super().training_step(batch, batch_idx)

    module = LongTailedDataModule(source=digits(), imbalance=Imbalance(factor=20))
    trainer(accelerator="gpu", devices=1).fit(OnDevice(64, 10), module)
    assert module.train_dataloader().images.is_cuda
