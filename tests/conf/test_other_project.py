"""A project made from lightning-hydra-template takes D-SINK and ADSA from `pkg://lt_callbacks.conf` by one line of its config."""

from __future__ import annotations

import sys
import textwrap
from functools import partial

import hydra
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lt_callbacks import DSinkCallback, ProxyLabelMonitor
from lt_callbacks.distilled_set import DistilledSet, SoftLabels

# What that project has in `src/` and `configs/`.


class Net(nn.Module):
    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Linear(4, hidden_size), nn.ReLU(), nn.Linear(hidden_size, 3))

    def forward(self, x):
        return self.model(x.flatten(1))


class Module(LightningModule):
    def __init__(self, net, optimizer) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.net = net
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return self.criterion(self.forward(x), y)

    def configure_optimizers(self):
        return {"optimizer": self.hparams.optimizer(params=self.trainer.model.parameters())}


class Data(LightningDataModule):
    def train_dataloader(self):
        images = torch.randn(24, 4, generator=torch.Generator().manual_seed(0))
        return DataLoader(TensorDataset(images, images.argmax(dim=1) % 3), batch_size=8)


CONFIGS = {
    "train.yaml": """
        defaults:
          - _self_
          - data: toy
          - model: toy
          - callbacks: default
          - trainer: default

        hydra:
          searchpath:
            - pkg://lt_callbacks.conf
        """,
    "data/toy.yaml": "_target_: toy_project.Data",
    "model/toy.yaml": """
        _target_: toy_project.Module
        optimizer:
          _target_: torch.optim.SGD
          _partial_: true
          lr: 0.1
        net:
          _target_: toy_project.Net
          hidden_size: 5
        """,
    "callbacks/default.yaml": """
        timer:
          _target_: lightning.pytorch.callbacks.Timer
        """,
    "trainer/default.yaml": """
        _target_: lightning.pytorch.trainer.Trainer
        max_epochs: 2
        accelerator: cpu
        logger: false
        enable_checkpointing: false
        enable_progress_bar: false
        enable_model_summary: false
        """,
}


def instantiate_callbacks(callbacks_cfg):
    """As the template's `src/utils/instantiators.py` does."""
    callbacks: list[Callback] = []
    if not callbacks_cfg:
        return callbacks
    if not isinstance(callbacks_cfg, DictConfig):
        raise TypeError("Callbacks config must be a DictConfig!")
    for cb_conf in callbacks_cfg.values():
        if isinstance(cb_conf, DictConfig) and "_target_" in cb_conf:
            callbacks.append(hydra.utils.instantiate(cb_conf))
    return callbacks


def train(config):
    """As the template's `src/train.py` does."""
    torch.manual_seed(0)
    datamodule = hydra.utils.instantiate(config.data)
    model = hydra.utils.instantiate(config.model)
    callbacks = instantiate_callbacks(config.get("callbacks"))
    trainer = hydra.utils.instantiate(config.trainer, callbacks=callbacks)
    trainer.fit(model=model, datamodule=datamodule)
    return model, trainer


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.setitem(sys.modules, "toy_project", sys.modules[__name__])


@pytest.fixture
def project(tmp_path):
    for name, content in CONFIGS.items():
        path = tmp_path / "configs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content).strip() + "\n")
    return tmp_path / "configs"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """What that project's own trainings left: a Lightning checkpoint of each teacher."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for seed, name in enumerate(("f_N", "f_L")):
        torch.manual_seed(seed)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(accelerator="cpu", max_epochs=1, enable_model_summary=False, **quiet)
        trainer.fit(Module(Net(5), partial(torch.optim.SGD, lr=0.1)), Data())
        trainer.save_checkpoint(folder / f"{name}.ckpt")
        # The line that conf/callbacks/dsink.yaml gives.
        torch.save(torch.load(folder / f"{name}.ckpt", weights_only=False)["state_dict"], folder / f"{name}.pt")
    return folder


def composed(project, *overrides):
    with initialize_config_dir(str(project), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def with_dsink(project, checkpoints, *overrides, ending="pt"):
    paths = [
        f"callbacks.dsink.dsink.{role}_teacher.path={checkpoints / f'{name}.{ending}'}"
        for role, name in (("noise", "f_N"), ("imbalance", "f_L"))
    ]
    return composed(project, "callbacks=[default,dsink]", *paths, *overrides)


def test_the_callbacks_are_the_projects_own_and_dsinks(project, checkpoints):
    config = with_dsink(project, checkpoints, "+callbacks.dsink.dsink.alpha=3.0")
    callbacks = instantiate_callbacks(config.callbacks)
    assert [type(callback).__name__ for callback in callbacks] == ["Timer", "DSinkCallback", "ProxyLabelMonitor"]
    dsink = callbacks[1].dsink
    assert dsink.alpha == 3.0
    for teacher, name in ((dsink.noise_teacher, "f_N"), (dsink.imbalance_teacher, "f_L")):
        saved = torch.load(checkpoints / f"{name}.pt", weights_only=True)
        assert isinstance(teacher.module, Net)
        assert all(torch.equal(value, saved[f"net.{key}"]) for key, value in teacher.module.state_dict().items())


def test_dsink_is_in_the_projects_training_and_leaves_no_trace(project, checkpoints):
    model, trainer = train(with_dsink(project, checkpoints))
    assert 0 <= float(trainer.callback_metrics["dsink/marginal_error"]) < 1e-2
    assert isinstance(trainer.callbacks[1], DSinkCallback)
    assert isinstance(trainer.callbacks[2], ProxyLabelMonitor)
    plain, _ = train(composed(project))
    weightless, _ = train(with_dsink(project, checkpoints, "+callbacks.dsink.dsink.alpha=0"))
    names = plain.state_dict().keys()
    assert model.state_dict().keys() == names
    assert any(not torch.equal(model.state_dict()[name], plain.state_dict()[name]) for name in names)
    assert all(torch.equal(weightless.state_dict()[name], plain.state_dict()[name]) for name in names)


def test_a_checkpoint_with_pickled_objects_is_refused_by_name(project, checkpoints):
    config = with_dsink(project, checkpoints, ending="ckpt")
    with pytest.raises(InstantiationException, match=r"`path` must be .*f_N\.ckpt"):
        instantiate_callbacks(config.callbacks)


def test_a_teacher_that_was_not_given_is_asked_for(project):
    config = composed(project, "callbacks=dsink")
    with pytest.raises(MissingMandatoryValue, match=r"callbacks\.dsink\.dsink\.noise_teacher\.path"):
        instantiate_callbacks(config.callbacks)


@pytest.mark.filterwarnings("ignore")
def test_adsa_relabels_when_the_projects_training_ends_and_does_not_change_it(project, tmp_path):
    pixels = torch.arange(24, dtype=torch.uint8).reshape(6, 1, 2, 2) * 10
    classes = torch.arange(6) % 3
    DistilledSet(
        images=pixels, intended_class=classes, class_names=("a", "b", "c"), mean=(0.5,), std=(0.25,), provenance={}
    ).save(tmp_path / "distilled")
    model, _ = train(
        composed(
            project,
            "callbacks=[default,adsa]",
            f"callbacks.adsa.distilled={tmp_path / 'distilled'}",
            f"callbacks.adsa.output={tmp_path / 'relabelled'}",
            "callbacks.adsa.class_prior=[10,8,6]",
            "+callbacks.adsa.num_views=2",
        )
    )
    labels = SoftLabels.open(
        tmp_path / "relabelled" / "soft_labels", distilled=DistilledSet.load(tmp_path / "distilled")
    )
    assert (labels.num_views, labels.missing_views(), labels.calibration["method"]) == (2, [], "adsa")
    plain, _ = train(composed(project))
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in model.state_dict().items())


def test_a_distilled_set_that_was_not_given_is_asked_for(project):
    with pytest.raises(MissingMandatoryValue, match=r"callbacks\.adsa\.distilled"):
        instantiate_callbacks(composed(project, "callbacks=adsa").callbacks)


def test_the_projects_own_files_come_first(project):
    # Both have trainer/default.yaml.
    assert composed(project).trainer._target_ == "lightning.pytorch.trainer.Trainer"
