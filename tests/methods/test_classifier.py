from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from classifier_rank_workers import fit_alone, one_of_two_worker
from lightning.pytorch import LightningDataModule, Trainer
from spawned_ranks import run_ranks
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import LongTailedDataModule, digits
from lt_callbacks.methods import Classifier, Optimisation
from lt_callbacks.models import build_model
from lt_callbacks.objectives import OBJECTIVES, CrossEntropy, build_objective


def quiet_trainer(**options: Any) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return Trainer(**{"max_epochs": 1, "accelerator": "cpu", "enable_model_summary": False, **quiet, **options})


def network(head: str = "linear") -> nn.Module:
    torch.manual_seed(0)
    return build_model("small_cnn", num_classes=10, in_channels=1, width=4, head=head)


def classifier(objective: str = "cross_entropy", **settings: Any) -> Classifier:
    made = build_objective(objective)
    return Classifier(network=network(made.head), objective=made, **settings)


@pytest.fixture(scope="module")
def data() -> LongTailedDataModule:
    """Digits, long-tailed and noisy: 401 samples."""
    return LongTailedDataModule(
        source=digits(), imbalance=Imbalance(factor=20), noise=Noise(kind="symmetric", ratio=0.4), batch_size=64
    )


class NoFacts(LightningDataModule):
    """Batches of three, and nothing else."""

    def train_dataloader(self):
        images = torch.randn(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(images, torch.arange(16) % 10, torch.arange(16)), batch_size=8)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains(data, name):
    module = classifier(name)
    before = copy.deepcopy(module.network.state_dict())
    trainer = quiet_trainer(max_epochs=2)
    trainer.fit(module, datamodule=data)
    assert module.objective.num_classes == 10
    assert module.objective.epoch == 1
    assert bool(torch.isfinite(trainer.callback_metrics["train/loss"]))
    after = module.network.state_dict()
    assert all(bool(torch.isfinite(value).all()) for value in after.values())
    assert not any(
        torch.equal(before[parameter], after[parameter]) for parameter, _ in module.network.named_parameters()
    )


def test_ldam_is_trained_on_cosines():
    assert OBJECTIVES["ldam_drw"].head == "cosine"
    logits = classifier("ldam_drw")(torch.randn(4, 1, 8, 8))
    assert float(logits.detach().abs().max()) <= 30.0 + 1e-4


def test_the_objective_is_told_the_facts_of_the_training_share(data):
    module = classifier("elr")
    quiet_trainer(max_epochs=3, limit_train_batches=1, limit_val_batches=0).fit(module, datamodule=data)
    assert module.objective.memory.shape == (data.num_samples, 10)
    module = classifier("logit_adjustment")
    quiet_trainer(limit_train_batches=1, limit_val_batches=0).fit(module, datamodule=data)
    prior = torch.as_tensor(data.class_counts) / data.class_counts.sum()
    shift = next(buffer for name, buffer in module.objective.named_buffers() if buffer.shape == (10,))
    correlation = torch.corrcoef(torch.stack([shift.double(), prior.log()]))[0, 1]
    assert abs(float(correlation)) == pytest.approx(1.0, abs=1e-6)


def test_a_step_is_the_objective_of_its_own_index():
    module = classifier("elr")
    module.objective.prepare(class_counts=torch.ones(10), num_samples=50, max_epochs=1)
    module.log = lambda *args, **kwargs: None
    images = torch.randn(3, 1, 8, 8)
    index = torch.tensor([41, 7, 12])
    reference = copy.deepcopy(module)
    loss = module.training_step((images, torch.tensor([0, 1, 2]), index), 0)
    expected = reference.objective(reference(images), torch.tensor([0, 1, 2]), index)
    torch.testing.assert_close(loss, expected)
    assert module.objective.memory.sum(1).nonzero()[:, 0].tolist() == [7, 12, 41]


def test_validation_is_accuracy_and_cross_entropy_against_the_given_labels(data):
    """Over all held-out samples alike, in batches of unequal size, whatever the objective."""
    module = classifier("gce").eval()
    uneven = copy.copy(data)
    uneven.eval_batch_size = 7
    (metrics,) = quiet_trainer().validate(module, datamodule=uneven, verbose=False)
    images, labels, _ = (torch.cat(parts) for parts in zip(*uneven.val_dataloader(), strict=True))
    with torch.no_grad():
        logits = module(images)
    assert len(labels) == len(data.val_indices)
    assert metrics["val/accuracy"] == pytest.approx((logits.argmax(1) == labels).float().mean().item(), abs=1e-6)
    assert metrics["val/loss"] == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)


def test_a_test_is_accuracy_over_all_test_samples(data):
    module = classifier().eval()
    (metrics,) = quiet_trainer().test(module, datamodule=data, verbose=False)
    images, labels, _ = (torch.cat(parts) for parts in zip(*data.test_dataloader(), strict=True))
    with torch.no_grad():
        expected = (module(images).argmax(1) == labels).float().mean().item()
    assert metrics["test/accuracy"] == pytest.approx(expected, abs=1e-6)


def test_the_training_loss_that_is_logged_is_the_mean_over_samples(data):
    module = Classifier(network=network(), optimisation=Optimisation(learning_rate=1e-30, momentum=0.0))
    trainer = quiet_trainer(limit_val_batches=0)
    seen = []
    module.objective.register_forward_hook(lambda _, args, loss: seen.append((len(args[1]), loss.item())))
    trainer.fit(module, datamodule=data)
    expected = sum(count * loss for count, loss in seen) / sum(count for count, _ in seen)
    assert len({count for count, _ in seen}) > 1
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(expected, rel=1e-5)


def test_predictions_are_logits_in_float32_with_labels_and_identities(data):
    module = classifier().eval()
    batches = quiet_trainer(precision="bf16-mixed").predict(module, dataloaders=data.predict_dataloader())
    logits, labels, index = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert logits.dtype == torch.float32
    assert torch.equal(index, torch.as_tensor(data.train_indices))
    assert torch.equal(labels, torch.as_tensor(data.given_labels[data.train_indices]))
    images = torch.cat([batch[0] for batch in data.predict_dataloader()])
    with torch.no_grad():
        torch.testing.assert_close(logits, module(images), atol=0.05, rtol=0.05)


def test_the_schedule_spans_the_whole_training(data):
    module = classifier(optimisation=Optimisation(learning_rate=0.3, schedule="cosine"))
    trainer = quiet_trainer(max_epochs=2, limit_val_batches=0)
    rates = []
    module.on_train_batch_start = lambda *_: rates.append(trainer.optimizers[0].param_groups[0]["lr"])
    trainer.fit(module, datamodule=data)
    expected = [0.3 * Optimisation().rate_factor(step / len(rates)) for step in range(len(rates))]
    assert len(rates) == 2 * len(data.train_dataloader())
    assert rates == pytest.approx(expected)


def test_only_the_network_is_optimised():
    module = classifier("elr")
    trainer = quiet_trainer(max_steps=1)
    trainer.fit(module, datamodule=WithFacts())
    (optimizer,) = trainer.optimizers
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {
        id(p) for p in module.network.parameters()
    }


def test_defaults():
    module = Classifier(network=network())
    assert isinstance(module.objective, CrossEntropy)
    assert module.optimisation == Optimisation()


def test_channels_last_changes_the_layout_and_not_the_result():
    plain, last = classifier().eval(), classifier(channels_last=True).eval()
    images = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(plain(images), last(images), atol=1e-5, rtol=1e-5)
    seen = []
    last.network.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    last(torch.randn(4, 3, 8, 8)[:, :1])
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    weights = [p for p in last.network.parameters() if p.ndim == 4 and p.shape[1] > 1]
    assert weights
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in weights)


class WithFacts(NoFacts):
    class_counts = torch.full((10,), 2)
    num_samples = 16


def test_data_of_ones_own_needs_two_attributes():
    quiet_trainer().fit(classifier("elr"), datamodule=WithFacts())
    # An objective that does not depend on them does without.
    quiet_trainer().fit(classifier("gce"), datamodule=NoFacts())
    quiet_trainer().fit(classifier("gce"), NoFacts().train_dataloader())


@pytest.mark.parametrize("name", [name for name, made in OBJECTIVES.items() if made.needs_prepare])
def test_data_without_the_facts_that_are_needed_is_refused(name):
    text = f"`datamodule` must have `class_counts` and `num_samples` for {OBJECTIVES[name].__name__}; got NoFacts. Use"
    with pytest.raises(ValueError, match=text):
        quiet_trainer().fit(classifier(name), datamodule=NoFacts())
    with pytest.raises(ValueError, match="got NoneType"):
        quiet_trainer().fit(classifier(name), NoFacts().train_dataloader())


def test_a_training_that_is_limited_by_steps_alone():
    quiet_trainer(max_epochs=-1, max_steps=3).fit(classifier(), datamodule=WithFacts())
    with pytest.raises(ValueError, match="`max_epochs` must be an integer >= 1; got -1. Give the trainer a limit of"):
        quiet_trainer(max_epochs=-1, max_steps=3).fit(classifier("ldam_drw"), datamodule=WithFacts())


def test_a_training_without_any_limit_is_refused():
    with pytest.raises(
        ValueError, match="`max_epochs` must be a limit of the trainer, or `max_steps` one, .*; got none. Pass"
    ):
        quiet_trainer(max_epochs=-1).fit(classifier(), datamodule=WithFacts())


@pytest.mark.ddp
@pytest.mark.slow
def test_a_fit_on_one_device_waits_for_no_other_rank(tmp_path):
    run_ranks(one_of_two_worker, tmp_path)
    weights, memory = torch.load(tmp_path / "found.pt", weights_only=True)
    alone = fit_alone()
    torch.testing.assert_close(weights, dict(alone.network.state_dict()), check_dtype=True)
    torch.testing.assert_close(memory, alone.objective.memory)
    assert alone.objective.memory.any()
