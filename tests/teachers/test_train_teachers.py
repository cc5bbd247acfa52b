from __future__ import annotations

import os
import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, LightningModule
from torch import nn
from torch.utils.data import TensorDataset
from user_project import QUIET, FunctionDataset, UserData, UserNet, images_and_labels

from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import LongTailedDataModule, digits
from lt_callbacks.objectives import OBJECTIVES
from lt_callbacks.teachers import ModuleTeacher, train_teachers

IMAGES, LABELS = images_and_labels()


class Steps(Callback):
    """Counts training steps, and keeps what was trained."""

    def __init__(self) -> None:
        self.count = 0
        self.objectives: list[str] = []
        self.module: Any = None

    def on_train_start(self, trainer, pl_module) -> None:
        self.module = pl_module
        self.objectives.append(type(pl_module.objective).__name__)

    def on_train_batch_end(self, *_: Any) -> None:
        self.count += 1


@pytest.fixture
def train(tmp_path):
    """Call `train_teachers` on the user's project; returns both teachers and what was trained for them."""

    def call(module: Any = UserNet, datamodule: Any = None, *, trainer: dict[str, Any] | None = None, **settings: Any):
        steps = Steps()
        teachers = train_teachers(
            module,
            UserData() if datamodule is None else datamodule,
            trainer={**QUIET, "callbacks": [steps], **(trainer or {})},
            **{"store": tmp_path / "store", **settings},
        )
        return teachers, steps

    return call


def weights(teacher: ModuleTeacher) -> torch.Tensor:
    return torch.cat([parameter.flatten() for parameter in teacher.module.parameters()])


def test_two_different_frozen_teachers_come_out(train):
    (imbalance, noise), steps = train()
    assert steps.objectives == ["LogitAdjustment", "EarlyLearningRegularization"]
    assert steps.count == 2 * 3
    for teacher in (imbalance, noise):
        assert isinstance(teacher, ModuleTeacher)
        assert isinstance(teacher.module, UserNet)
        assert teacher.num_classes == 3
        assert not any(parameter.requires_grad for parameter in teacher.module.parameters())
        assert teacher.log_probs(IMAGES).shape == (24, 3)
    assert not torch.equal(weights(imbalance), weights(noise))


def test_the_objective_is_what_is_minimised(train):
    """Plain cross-entropy by hand, on batches without shuffling and a network without dropout."""

    class Linear(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, images):
            return self.layer(images.flatten(1))

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    datamodule = UserData(TensorDataset(IMAGES / 10, LABELS), shuffle=False)
    (teacher, _), _ = train(Linear, datamodule, imbalance="cross_entropy", noise="gce", seed=3)
    torch.manual_seed(3)
    expected = Linear()
    optimizer = expected.configure_optimizers()
    for start in (0, 8, 16):
        part = slice(start, start + 8)
        optimizer.zero_grad()
        nn.functional.cross_entropy(expected(IMAGES[part] / 10), LABELS[part]).backward()
        optimizer.step()
    torch.testing.assert_close(teacher.module.layer.weight, expected.layer.weight.detach())


def test_objectives_learn_the_facts_of_the_data_and_of_the_training(train):
    _, steps = train(noise="elr", trainer={"max_epochs": 2})
    objective = steps.module.objective
    assert objective.memory.shape == (24, 3)
    # Every sample has been remembered under a position of its own.
    assert bool((objective.memory.sum(1) > 0).all())
    assert objective.epoch == 1
    _, steps = train(noise="ldam_drw", noise_settings={"drw_start": 0.5}, trainer={"max_epochs": 2})
    counts = torch.bincount(LABELS).double()
    margins = counts**-0.25 * (0.5 / (counts**-0.25).max())
    torch.testing.assert_close(steps.module.objective.margins, margins.float())
    assert steps.module.objective.drw_epoch == 1


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_trains_a_teacher(train, name):
    (teacher, _), steps = train(imbalance=name, noise="cross_entropy", store=None)
    assert steps.objectives[0] == OBJECTIVES[name].__name__
    assert bool(torch.isfinite(teacher.log_probs(IMAGES)).all())


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
        {"module": lambda: UserNet(learning_rate=0.01)},
        {"module": lambda: UserNet(width=5)},
    ],
)
def test_another_training_is_not_reused(train, changes):
    (before, _), _ = train()
    (after, _), steps = train(**changes)
    assert steps.objectives
    assert weights(before).shape != weights(after).shape or not torch.equal(weights(before), weights(after))


def test_a_fingerprint_of_the_callers_own_is_the_identity_of_the_data(train):
    for fingerprint, is_trained in (("mine", True), ("mine", False), ("yours", True), (None, True)):
        _, steps = train(fingerprint=fingerprint)
        assert bool(steps.count) == is_trained


def test_without_a_store_teachers_are_trained_every_time(train, tmp_path):
    for _ in range(2):
        _, steps = train(store=None)
        assert len(steps.objectives) == 2
    assert not (tmp_path / "store").exists()


def test_the_same_seed_gives_the_same_teachers(train):
    first, _ = train(store=None)
    torch.rand(3)
    second, _ = train(store=None)
    other, _ = train(store=None, seed=1)
    assert torch.equal(weights(first[0]), weights(second[0]))
    assert torch.equal(weights(first[1]), weights(second[1]))
    assert not torch.equal(weights(first[0]), weights(other[0]))


@pytest.mark.parametrize("is_stored", [True, False])
def test_global_random_state_is_untouched(train, is_stored, monkeypatch):
    """Also where labels are read by a pass over a loader that shuffles."""
    monkeypatch.setenv("PL_GLOBAL_SEED", "42")
    if is_stored:
        train()
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    train()
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]
    assert os.environ["PL_GLOBAL_SEED"] == "42"


def test_a_split_that_the_datamodule_draws_is_the_callers_own(train):
    class Drawn(UserData):
        def setup(self, stage: str) -> None:
            self.chosen = torch.rand(())

    drawn = []
    for seed in (0, 1, 0):
        datamodule = Drawn()
        torch.manual_seed(seed)
        train(UserNet, datamodule)
        drawn.append(datamodule.chosen.item())
    assert drawn[0] == drawn[2] != drawn[1]


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


def test_a_third_item_that_is_no_tensor_is_nobodys_business(train):
    """Names of files, say; nothing but an objective that needs an index looks at what stands third."""

    def collate(samples):
        images, labels = zip(*samples, strict=True)
        return torch.stack(images), torch.stack(labels), [f"{i}.png" for i in range(len(samples))]

    _, steps = train(UserNet, UserData(collate_fn=collate))
    assert steps.count == 6
    assert bool((steps.module.objective.memory.sum(1) > 0).all())


def test_the_networks_own_setup_is_called(train):
    class WithSetup(UserNet):
        def setup(self, stage: str) -> None:
            self.stage = stage

    (teacher, _), _ = train(WithSetup, store=None)
    assert teacher.module.stage == "fit"


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


class Dictionary(UserNet):
    def forward(self, images):
        return {"logits": super().forward(images)}


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"module": UserNet()}, TypeError, "`module` must be a class or function .*; got UserNet. Pass the class"),
        ({"module": "resnet20"}, TypeError, "`module` must be a class or function .*; got str. Pass the class"),
        ({"module": lambda: nn.Linear(4, 3)}, TypeError, "fresh LightningModule; got one that makes a Linear. Pass"),
        (
            {"module": Dictionary},
            TypeError,
            r"`module` must make .*logits \(B, C\).*got dict from `forward` of Dictionary. Pass",
        ),
        ({"imbalance": "logit_adj"}, ValueError, "`imbalance` must be one of .*Did you mean 'logit_adjustment'"),
        ({"noise": "elrr"}, ValueError, "`noise` must be one of .*got 'elrr'. Did you mean 'elr'"),
        (
            {"noise_settings": {"betta": 0.7}},
            ValueError,
            "`noise_settings` must be .* for objective 'elr'.*Did you mean 'beta'",
        ),
        ({"imbalance_settings": {"tau": -1.0}}, ValueError, "`imbalance_settings.tau` must be a finite number"),
        ({"seed": -1}, ValueError, "`seed` must be an integer >= 0 and <= 4294967295; got -1"),
        ({"seed": 2**32}, ValueError, "`seed` must be an integer >= 0 and <= 4294967295; got 4294967296"),
        ({"datamodule": [IMAGES]}, TypeError, "`datamodule` must be a LightningDataModule; got list"),
        (
            {"datamodule": UserData(FunctionDataset(lambda i: {"image": IMAGES[i], "label": LABELS[i]}))},
            ValueError,
            r"`datamodule` must give training batches that start with \(image, label\) tensors; got keys \['image', 'label'\]",
        ),
    ],
)
def test_what_cannot_work_is_refused(train, tmp_path, arguments, error, text):
    with pytest.raises(error, match=text):
        train(**arguments)
    assert not list((tmp_path / "store").glob("*/teacher.json"))


@pytest.mark.parametrize("asked", [{"devices": 2}, {"devices": [0, 1]}, {"devices": -1}, {"num_nodes": 2}])
def test_teachers_are_trained_by_one_process_each(tmp_path, asked):
    with pytest.raises(ValueError, match=r"^`trainer` must leave `devices` and `num_nodes` at 1, .*; got \{'"):
        train_teachers(UserNet, UserData(), trainer={**QUIET, **asked}, store=tmp_path)


def test_a_launchers_variables_make_no_teacher_wait_for_other_ranks(tmp_path, monkeypatch):
    """As in a script that torchrun started twice: this rank trains, the other waits at the store."""
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "1")
    made = train_teachers(UserNet, UserData(), trainer={**QUIET, "devices": 1}, store=tmp_path)
    monkeypatch.undo()
    alone = train_teachers(UserNet, UserData(), trainer=QUIET, store=None)
    assert [teacher.sha256() for teacher in made] == [teacher.sha256() for teacher in alone]
