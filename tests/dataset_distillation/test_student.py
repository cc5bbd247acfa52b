import copy

import pytest
import torch
from lightning.pytorch import Callback
from small_world import NAMES, numbered_set, quiet_trainer
from torch import nn
from torch.utils.data import DataLoader

from lt_callbacks.dataset_distillation import Student, StudentLoss, ViewLoader
from lt_callbacks.distilled_set import PLAIN_VIEW, Views
from lt_callbacks.methods import Optimisation

HARD = StudentLoss(kind="hard")


def small_network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, len(NAMES)),
        )


def student(**changes):
    optimisation = Optimisation(optimizer="adamw", learning_rate=0.05, weight_decay=0.0)
    return Student(**{"network": small_network(), "loss": HARD, "optimisation": optimisation, **changes})


def loader(num_passes=4, *, num_images=7, batch_size=3):
    distilled = numbered_set(num_images)
    # Brightness tells the class.
    levels = distilled.intended_class * 90 + torch.arange(num_images)
    images = levels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone()
    images[:, :, 0] = 0
    distilled = numbered_set(num_images, images=images)
    return ViewLoader(
        views=Views(distilled, PLAIN_VIEW),
        classes=distilled.intended_class,
        labels=None,
        batch_size=batch_size,
        num_passes=num_passes,
        passes_per_epoch=2,
    )


def fit(module, batches, *callbacks):
    trainer = quiet_trainer(max_epochs=batches.num_epochs, callbacks=list(callbacks))
    trainer.fit(module, train_dataloaders=batches)
    return trainer


class Watch(Callback):
    """The network after every step, and the rates of the steps."""

    def __init__(self):
        self.states, self.rates, self.losses = [], [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.states.append({name: value.clone() for name, value in module.network.state_dict().items()})
        self.losses.append(float(outputs["loss"]))


IMAGES = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(3))


def test_the_average_equals_one_by_hand_statistics_included():
    module, watch = student(ema_decay=0.7), Watch()
    fit(module, loader(), watch)
    assert len(watch.states) == 12
    # It starts at the network after the first step.
    expected = {name: value.double() for name, value in watch.states[0].items()}
    for state in watch.states[1:]:
        expected = {name: 0.7 * expected[name] + 0.3 * value.double() for name, value in state.items()}
    found = module.average.module.state_dict()
    assert found.keys() == expected.keys()
    for name in expected:
        if found[name].is_floating_point():
            assert torch.allclose(found[name].double(), expected[name], atol=1e-5), name
    assert not torch.allclose(found["1.running_mean"], watch.states[-1]["1.running_mean"], atol=1e-4)


def test_the_average_predicts_and_the_network_is_trained():
    module = student(ema_decay=0.9)
    fit(module, loader())
    by_network = copy.deepcopy(module.network).eval()(IMAGES)
    by_average = copy.deepcopy(module.average.module).eval()(IMAGES)
    assert not torch.allclose(by_network, by_average, atol=1e-3)
    assert torch.equal(module.eval()(IMAGES), by_average)
    assert torch.equal(module.train()(IMAGES), copy.deepcopy(module.network).train()(IMAGES))


def test_the_average_is_not_trained_itself():
    module = student(ema_decay=0.9)
    assert not any(weight.requires_grad for weight in module.average.parameters())
    trainer = fit(module, loader(1))
    trained = {id(weight) for group in trainer.optimizers[0].param_groups for weight in group["params"]}
    assert trained == {id(weight) for weight in module.network.parameters()}


def test_without_a_decay_there_is_no_average():
    module = student()
    assert module.average is None
    fit(module, loader(1))
    assert torch.equal(module.eval()(IMAGES), module.network.eval()(IMAGES))


def test_training_lowers_the_loss_and_logs_it():
    module, watch = student(), Watch()
    trainer = fit(module, loader(20), watch)
    assert sum(watch.losses[-12:]) < 0.8 * sum(watch.losses[:12])
    # The mean over the samples of the last epoch of two passes: batches of 3, 3 and 1.
    weights = [3, 3, 1, 3, 3, 1]
    expected = sum(w * loss for w, loss in zip(weights, watch.losses[-6:], strict=True)) / 14
    assert float(trainer.callback_metrics["train/loss"]) == pytest.approx(expected, rel=1e-5)


def test_the_rate_ends_at_zero_after_the_real_number_of_steps():
    module, watch = student(), Watch()
    trainer = fit(module, loader(), watch)
    assert trainer.global_step == len(watch.rates) == 4 * 3
    expected = [0.05 * (1 + torch.cos(torch.tensor(torch.pi * step / 12)).item()) / 2 for step in range(12)]
    assert watch.rates == pytest.approx(expected, abs=1e-7)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


def test_channels_last_gives_the_same_numbers():
    # Not Adam, which makes large steps of rounding where a weight has no gradient.
    settings = {"ema_decay": 0.5, "optimisation": Optimisation(learning_rate=0.05)}
    plain, last = student(**settings), student(channels_last=True, **settings)
    seen = []
    last.network[0].register_forward_pre_hook(lambda _, images: seen.append(images[0]))
    assert torch.allclose(plain(IMAGES), last(IMAGES), atol=1e-6)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    for module in (plain, last):
        fit(module, loader(2))
        module.eval()
    assert torch.allclose(plain(IMAGES), last(IMAGES), atol=1e-4)
    assert last.average.module[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_predictions_come_with_labels_and_indices():
    module = student(ema_decay=0.5)
    fit(module, loader(1))
    samples = [(image, label, index) for image, label, index in zip(IMAGES, range(5), range(10, 15), strict=True)]
    (found,) = quiet_trainer().predict(module, DataLoader(samples, batch_size=5))
    logits, label, index = found
    assert logits.dtype == torch.float32
    assert torch.allclose(logits, module.average.module.eval()(IMAGES), atol=1e-6)
    assert label.tolist() == [0, 1, 2, 3, 4]
    assert index.tolist() == [10, 11, 12, 13, 14]


def test_a_student_goes_on_where_its_state_was_kept():
    module = student(ema_decay=0.9)
    fit(module, loader())
    restored = student(network=small_network(5), ema_decay=0.9)
    restored.load_state_dict(module.state_dict())
    assert torch.equal(restored.eval()(IMAGES), module.eval()(IMAGES))


@pytest.mark.parametrize("ema_decay", [1.0, -0.1])
def test_a_decay_out_of_range_is_refused(ema_decay):
    with pytest.raises(ValueError, match=f"`ema_decay` must be a finite number >= 0 and < 1; got {ema_decay}"):
        student(ema_decay=ema_decay)
