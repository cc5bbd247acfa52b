"""A project made from lightning-hydra-template takes D-SINK and ADSA from `pkg://lt_callbacks.conf` by one line of its config."""

from __future__ import annotations

import json
import sys
import textwrap
from functools import partial

import hydra
import numpy as np
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
from lt_callbacks.distilled_set import PLAIN_VIEW, DistilledSet, SoftLabels, Views

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


class CountedData(Data):
    """A datamodule that tells which labels it gives."""

    num_classes = 3
    given_labels = np.repeat([0, 1, 2], [16, 5, 3])


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
    kinds = [type(callback) for callback in trainer.callbacks]
    assert kinds.index(DSinkCallback) < kinds.index(ProxyLabelMonitor)
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


# ADSA.


@pytest.fixture
def distilled(tmp_path):
    """What that project distilled before: two images of 2x2 pixels for each of its classes, labelled once."""
    made = DistilledSet(
        images=torch.arange(24, dtype=torch.uint8).reshape(6, 1, 2, 2) * 10,
        intended_class=torch.arange(6) % 3,
        class_names=("a", "b", "c"),
        mean=(0.5,),
        std=(0.25,),
    )
    made.save(tmp_path / "distilled")
    SoftLabels.create(tmp_path / "distilled" / "soft_labels", distilled=made, views=PLAIN_VIEW, num_views=2)
    return made


def with_adsa(project, tmp_path, *overrides):
    places = [f"callbacks.adsa.distilled={tmp_path / 'distilled'}", f"callbacks.adsa.output={tmp_path / 'relabelled'}"]
    return composed(project, "callbacks=[default,adsa]", *places, *overrides)


def check_labels(model, distilled, folder, counts):
    """Labels are those of the trained model, less tau times the log prior."""
    assert DistilledSet.load(folder) == distilled
    labels = SoftLabels.open(folder / "soft_labels", distilled=distilled)
    assert (labels.num_views, labels.missing_views(), labels.calibration["method"]) == (2, [], "adsa")
    tau = json.loads((folder / "adsa.json").read_text())["tau"]
    everything = torch.arange(len(distilled))
    with torch.no_grad():
        logits = model.eval()(Views(distilled, PLAIN_VIEW).images(everything, 0))
    log_prior = torch.tensor(counts).log()
    expected = logits - tau * (log_prior - log_prior.mean())
    assert torch.allclose(labels.logits(everything, 1), expected, atol=1e-2)


@pytest.mark.filterwarnings("ignore")
def test_adsa_relabels_when_the_projects_training_ends_and_does_not_change_it(project, distilled, tmp_path):
    config = with_adsa(project, tmp_path, "callbacks.adsa.class_prior=[500,300,180]", "+callbacks.adsa.fit_on=plain")
    model, trainer = train(config)
    assert [type(callback).__name__ for callback in trainer.callbacks[:2]] == ["Timer", "ADSACallback"]
    assert trainer.callbacks[1].settings.fit_on == "plain"
    check_labels(model, distilled, tmp_path / "relabelled", [500.0, 300.0, 180.0])
    plain, _ = train(composed(project))
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in model.state_dict().items())


@pytest.mark.filterwarnings("ignore")
def test_a_datamodule_that_tells_its_labels_needs_no_prior(project, distilled, tmp_path):
    model, _ = train(with_adsa(project, tmp_path, "data._target_=toy_project.CountedData"))
    check_labels(model, distilled, tmp_path / "relabelled", [16.0, 5.0, 3.0])


@pytest.mark.usefixtures("distilled")
def test_one_that_does_not_is_told_what_to_give(project, tmp_path):
    with pytest.raises(ValueError, match=r"beside a datamodule with `given_labels`; .* Pass `class_prior=\[\.\.\.\]`"):
        train(with_adsa(project, tmp_path))
    assert not (tmp_path / "relabelled").exists()


@pytest.mark.filterwarnings("ignore")
def test_settings_that_the_file_leaves_out_can_be_added(project, distilled, tmp_path):
    views = "+callbacks.adsa.views={crop: resized, crop_area: [0.5, 1.0], seed: 3}"
    train(with_adsa(project, tmp_path, views, "+callbacks.adsa.num_views=1", "callbacks.adsa.class_prior=[5,3,2]"))
    labels = SoftLabels.open(tmp_path / "relabelled" / "soft_labels", distilled=distilled)
    assert (labels.num_views, labels.views.crop, labels.views.seed) == (1, "resized", 3)
    assert labels.views.crop_area == (0.5, 1.0)


@pytest.mark.parametrize("missing", ["distilled", "output"])
def test_a_folder_that_was_not_given_is_asked_for(project, tmp_path, missing):
    config = with_adsa(project, tmp_path, f"callbacks.adsa.{missing}=???")
    with pytest.raises(MissingMandatoryValue, match=rf"callbacks\.adsa\.{missing}"):
        instantiate_callbacks(config.callbacks)


def test_the_projects_own_files_come_first(project):
    # Both have trainer/default.yaml.
    assert composed(project).trainer._target_ == "lightning.pytorch.trainer.Trainer"
