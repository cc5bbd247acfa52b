from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset
from user_project import QUIET, FunctionDataset, Scale, Steps, UserData, UserNet, images_and_labels

from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import LongTailedDataModule, digits
from lt_callbacks.teachers import ModuleTeacher, train_teachers

IMAGES, LABELS = images_and_labels()


class Arrays:
    """A dataset as those of torchvision: all samples in two arrays, and what is done to an image."""

    def __init__(self, transform: Scale) -> None:
        self.data, self.targets, self.transform = IMAGES, LABELS, transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, position: int):
        return self.transform(self.data[position]), self.targets[position]


class DigitsNet(UserNet):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
        self.head = nn.Linear(4, 10)


def weights(teacher: ModuleTeacher) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in teacher.module.parameters()])


def test_teachers_are_reused_the_second_time(train):
    first, _ = train()
    again, steps = train()
    assert steps.count == 0
    for old, new in zip(first, again, strict=True):
        assert torch.equal(weights(old), weights(new))
        assert torch.equal(old.log_probs(IMAGES), new.log_probs(IMAGES))


def test_a_teacher_is_shared_between_its_two_roles(train):
    train(imbalance="gce", noise="elr")
    _, steps = train(imbalance="elr", noise="gce")
    assert steps.count == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"imbalance": "cross_entropy"},
        {"imbalance_settings": {"tau": 1.5}},
        {"seed": 1},
        {"trainer": {"max_epochs": 2}},
        {"trainer": {"limit_train_batches": 2}},
        {"datamodule": UserData(TensorDataset(IMAGES, LABELS.flip(0)))},
        {"datamodule": UserData(TensorDataset(IMAGES + 1, LABELS))},
        {"datamodule": UserData(batch_size=12)},
        {"datamodule": UserData(shuffle=False)},
        {"module": lambda: UserNet(learning_rate=0.01)},
        {"module": lambda: UserNet(width=5)},
    ],
)
def test_another_training_is_not_reused(train, changes):
    (before, _), _ = train()
    (after, _), steps = train(**changes)
    assert steps.objectives
    assert weights(before).shape != weights(after).shape or not torch.equal(weights(before), weights(after))


def test_what_is_done_to_the_images_is_a_part_of_the_training(train):
    for factor, is_trained in ((2.0, True), (3.0, True), (2.0, False)):
        _, steps = train(UserNet, UserData(Arrays(transform=Scale(factor))))
        assert bool(steps.count) == is_trained


def test_another_order_of_the_datas_own_is_another_training(tmp_path):
    """Where the data draws by a seed of its own, the teachers' seed does not say in which order samples come."""
    for seed, is_trained in ((0, True), (1, True), (0, False)):
        steps = Steps()
        datamodule = LongTailedDataModule(source=digits(), batch_size=512, seed=seed)
        options = {**QUIET, "callbacks": [steps], "limit_train_batches": 1}
        train_teachers(DigitsNet, datamodule, trainer=options, store=tmp_path, noise="gce")
        assert bool(steps.count) == is_trained


def test_a_fingerprint_of_the_callers_own_is_the_identity_of_the_data(train):
    for fingerprint, is_trained in (("mine", True), ("mine", False), ("yours", True), (None, True)):
        _, steps = train(fingerprint=fingerprint)
        assert bool(steps.count) == is_trained


def test_without_a_store_teachers_are_trained_every_time(train, tmp_path):
    for _ in range(2):
        _, steps = train(store=None)
        assert len(steps.objectives) == 2
    assert not (tmp_path / "store").exists()


def test_data_of_no_known_kind_is_trained_on_but_not_stored(train, tmp_path):
    datamodule = UserData(FunctionDataset(lambda i: (IMAGES[i], LABELS[i])))
    for _ in range(2):
        with pytest.warns(UserWarning, match="trained but not stored: the data has no `fingerprint`. Pass"):
            _, steps = train(UserNet, datamodule)
        assert len(steps.objectives) == 2
    assert not (tmp_path / "store").exists()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(UserNet, datamodule, store=None)
        train(UserNet, datamodule, fingerprint="mine")
        _, steps = train(UserNet, datamodule, fingerprint="mine")
    assert steps.count == 0


def test_the_packages_own_module_and_data_make_teachers(tmp_path):
    from lt_callbacks.methods import Classifier
    from lt_callbacks.models import build_model

    datamodule = LongTailedDataModule(
        source=digits(), imbalance=Imbalance(factor=50), noise=Noise(kind="symmetric", ratio=0.4), batch_size=64
    )

    def module() -> Classifier:
        return Classifier(network=build_model("small_cnn", num_classes=10, in_channels=1, width=4))

    first = train_teachers(module, datamodule, trainer=QUIET, store=tmp_path)
    again = train_teachers(module, datamodule, trainer=QUIET, store=tmp_path)
    images = next(iter(datamodule.predict_dataloader()))[0]
    for old, new in zip(first, again, strict=True):
        assert torch.equal(old.log_probs(images), new.log_probs(images))
    assert len(list(tmp_path.glob("*/teacher.json"))) == 2


def test_a_home_folder_in_the_store_is_expanded(train, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    train(store="~/teachers")
    assert (tmp_path / "teachers").is_dir()
