"""Teachers are trained in the user's own pipeline: hooks, schedules, validation, batches of one's own form."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from template_module import TemplateModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from user_project import FunctionDataset, UserData, UserNet, images_and_labels

from lt_callbacks.data import add_index

IMAGES, LABELS = images_and_labels()


def bright_and_dark(num_samples: int = 96) -> tuple[Tensor, Tensor]:
    """Images of class 0 are dark and those of class 1 bright: inverted, each is one of the other class."""
    labels = torch.arange(num_samples) % 2
    noise = torch.rand(num_samples, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return 0.1 + 0.2 * noise + 0.6 * labels[:, None, None, None], labels


class Inverting(UserData):
    """Its hook shows the network negatives, and asks for batches of two items."""

    def __init__(self, dataset: Any = None, **options: Any) -> None:
        super().__init__(dataset or TensorDataset(*bright_and_dark()), **options)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        return [1 - images, labels]


class TwoClasses(UserNet):
    def __init__(self) -> None:
        super().__init__(learning_rate=0.5)
        self.head = nn.Linear(4, 2)


class InvertingNet(TwoClasses):
    def on_before_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        return [images, labels]

    def on_after_batch_transfer(self, batch, dataloader_idx):
        images, labels = batch
        return [1 - images, labels]


def accuracy(teacher, images, labels) -> float:
    return float((teacher.log_probs(images).argmax(1) == labels).float().mean())


@pytest.mark.parametrize("is_modules", [False, True])
def test_teachers_are_trained_on_the_images_that_hooks_make(train, is_modules):
    """Also where an index goes along for ELR, and the hook takes batches of two items apart."""
    datamodule = UserData(TensorDataset(*bright_and_dark())) if is_modules else Inverting()
    module = InvertingNet if is_modules else TwoClasses
    teachers, _ = train(module, datamodule, trainer={"max_epochs": 30})
    images, labels = bright_and_dark()
    for teacher in teachers:
        assert accuracy(teacher, 1 - images, labels) == 1.0
        assert accuracy(teacher, images, labels) < 0.6


def test_the_datamodules_transfer_and_the_module_s_own_hooks_are_called(train):
    called = []

    class Data(UserData):
        def transfer_batch_to_device(self, batch, device, dataloader_idx):
            called.append("transfer_batch_to_device")
            return super().transfer_batch_to_device(batch, device, dataloader_idx)

    class Net(UserNet):
        def configure_model(self):
            if not hasattr(self, "extra"):
                self.extra = nn.Linear(3, 3)

        def forward(self, images):
            return self.extra(super().forward(images))

        def on_train_batch_start(self, batch, batch_idx):
            called.append(("on_train_batch_start", len(batch)))

        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
            called.append("optimizer_step")
            optimizer.step(closure=optimizer_closure)

        def on_train_batch_end(self, outputs, batch, batch_idx):
            called.append(("on_train_batch_end", len(batch), sorted(outputs)))

    (first, _), _ = train(Net, Data())
    assert called == 2 * 3 * [
        "transfer_batch_to_device",
        ("on_train_batch_start", 2),
        "optimizer_step",
        ("on_train_batch_end", 2, ["loss"]),
    ]
    # Layers that `configure_model` makes are stored and found again.
    (again, _), steps = train(Net, Data())
    assert steps.count == 0
    assert torch.equal(first.log_probs(IMAGES), again.log_probs(IMAGES))


class TemplateData(LightningDataModule):
    """Training and validation loaders, told its trainer as Lightning tells it."""

    def __init__(self) -> None:
        super().__init__()
        self.num_set_up = self.num_torn_down = 0

    def setup(self, stage: str | None = None) -> None:
        self.num_set_up += 1

    def teardown(self, stage: str | None = None) -> None:
        self.num_torn_down += 1

    def train_dataloader(self):
        return DataLoader(TensorDataset(IMAGES, LABELS), batch_size=8, shuffle=True)

    def val_dataloader(self):
        return DataLoader(TensorDataset(IMAGES[:9], LABELS[:9]), batch_size=8)


@pytest.mark.parametrize("is_compiled", [False, True])
def test_the_templates_default_module_trains_its_teachers_unchanged(train, is_compiled):
    def module() -> TemplateModule:
        return TemplateModule(
            net=nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
            optimizer=partial(torch.optim.Adam, lr=0.01),
            # No loss is ten times better than the best one: each validation lowers the rate.
            scheduler=partial(torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.1, patience=0, threshold=10.0),
            compile=is_compiled,
        )

    datamodule = TemplateData()
    (first, second), steps = train(module, datamodule, trainer={"max_epochs": 3})
    assert steps.count == 2 * 3 * 3
    assert steps.module.trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(1e-5)
    metrics = steps.module.trainer.callback_metrics
    assert {"val/loss", "val/acc", "val/acc_best"} <= metrics.keys()
    assert "train/loss" not in metrics, "the user's own step is not what trained the teacher"
    # One split for both teachers, which is the caller's own.
    assert (datamodule.num_set_up, datamodule.num_torn_down) == (1, 0)
    assert datamodule.trainer is None
    assert not {"train_dataloader", "setup", "teardown"} & vars(datamodule).keys()
    for teacher in (first, second):
        assert list(teacher.module.state_dict()) == list(module().state_dict())
    (again, _), steps = train(module, TemplateData(), trainer={"max_epochs": 3})
    assert steps.count == 0
    assert torch.equal(first.log_probs(IMAGES), again.log_probs(IMAGES))


def test_a_schedule_that_waits_for_the_training_loss_is_told_the_objectives(train):
    class Net(UserNet):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.1)
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=10.0)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": plateau, "monitor": "train_loss"}}

    _, steps = train(Net, trainer={"max_epochs": 3})
    assert steps.module.trainer.optimizers[0].param_groups[0]["lr"] < 0.05


def test_the_module_finds_its_datamodule_and_a_logger_that_takes_anything(train):
    class Net(UserNet):
        def configure_optimizers(self):
            assert isinstance(self.trainer.datamodule, UserData)
            return super().configure_optimizers()

        def on_train_start(self):
            self.logger.experiment.add_image("batch", torch.zeros(1, 2, 2))

    _, steps = train(Net)
    assert steps.count == 6


def test_the_hook_that_works_with_what_the_users_step_collected_is_left_out(train):
    """The pattern of Lightning 2: nothing is collected where another step is taken."""

    class Net(UserNet):
        def on_train_epoch_end(self):
            torch.stack(self.losses).mean()

    _, steps = train(Net)
    assert steps.count == 6
    assert "on_train_epoch_end" not in vars(steps.module)


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        (("image", "label"), {}),
        (("pixels", "given"), {"images_from": "pixels", "label_from": "given"}),
    ],
)
def test_mapping_batches(train, keys, named):
    items = FunctionDataset(lambda i: {"name": str(i), keys[0]: IMAGES[i], keys[1]: LABELS[i]})
    if not named:
        items = FunctionDataset(lambda i: {keys[0]: IMAGES[i], keys[1]: LABELS[i], "name": str(i)})
    teachers, steps = train(UserNet, UserData(items), fingerprint="x", **named)
    tuples, _ = train(fingerprint="y")
    assert bool((steps.objective.memory.sum(1) > 0).all())
    for teacher, other in zip(teachers, tuples, strict=True):
        assert torch.equal(teacher.log_probs(IMAGES), other.log_probs(IMAGES))


def test_a_true_label_in_third_place_is_no_row_of_the_memory(train):
    """All its rows would be those of the three classes, and the teacher another one."""
    plain, _ = train()
    with_truth, steps = train(UserNet, UserData(TensorDataset(IMAGES, LABELS, LABELS.flip(0))))
    assert bool((steps.objective.memory.sum(1) > 0).all())
    for teacher, other in zip(with_truth, plain, strict=True):
        assert torch.equal(teacher.log_probs(IMAGES), other.log_probs(IMAGES))


def test_a_memory_has_room_for_the_index_that_is_named(train):
    third = TensorDataset(IMAGES, LABELS, torch.arange(24) + 100)
    _, steps = train(UserNet, UserData(third), index_from=2)
    assert (steps.objective.memory.sum(1) > 0).nonzero()[:, 0].tolist() == list(range(100, 124))
    _, steps = train(
        UserNet,
        UserData(torch.utils.data.Subset(add_index(TensorDataset(IMAGES, LABELS)), range(9, 24))),
        fingerprint="z",
    )
    assert (steps.objective.memory.sum(1) > 0).nonzero()[:, 0].tolist() == list(range(9, 24))


class Manual(UserNet):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False


class TwoOptimizers(UserNet):
    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.layers, self.head)]


class TwoWithSchedules(UserNet):
    def configure_optimizers(self):
        return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.layers, self.head)], []


class NoOptimizer(UserNet):
    def configure_optimizers(self):
        return None


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (Manual, "`module` must make modules with automatic optimisation.*got Manual with `auto.*Pass a function"),
        (TwoOptimizers, "`module` must make modules whose `configure_optimizers` gives one optimiser.*got 2. Pass"),
        (TwoWithSchedules, "gives one optimiser, to train a teacher with; got 2. Pass"),
        (NoOptimizer, "gives one optimiser, to train a teacher with; got 0. Pass"),
    ],
)
def test_a_training_that_is_the_steps_own_is_refused_before_any_step(train, tmp_path, module, text):
    datamodule = UserData()
    with pytest.raises(ValueError, match=text):
        train(module, datamodule)
    assert not list((tmp_path / "store").glob("*/teacher.json"))
    assert "setup" not in vars(datamodule)


def test_another_pipeline_is_another_training(train):
    """What a hook does to the images is unknown, but not whether there is one."""
    for module, is_trained in ((UserNet, True), (UserNet, False), (Hooked, True), (Hooked, False)):
        _, steps = train(lambda kind=module: renamed(kind))
        assert bool(steps.count) == is_trained


class Hooked(UserNet):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        return [batch[0] * 2, batch[1]]


def renamed(kind: type[LightningModule]) -> LightningModule:
    """The same name in the description, whatever the class."""
    return type("Net", (kind,), {"__module__": "mine"})()
