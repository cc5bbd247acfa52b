from __future__ import annotations

from typing import Any

import pytest
import small_modules as m
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from resumed_modules import NUM_EPOCHS, STEPS, Draws, Interrupt, long_tailed, set_generators
from torchmetrics import MeanMetric

from lt_callbacks.plugins import ExactResume


class Logs(Draws):
    """Logs in every way that makes one value of an epoch's steps."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = MeanMetric()

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        loss = super().training_step(batch, batch_idx)
        value = loss.detach()
        self.log("mean", value, on_step=False, on_epoch=True)
        self.log("both", value, on_step=True, on_epoch=True, batch_size=len(batch[0]) * (1 + batch_idx))
        for kind in ("sum", "min", "max"):
            self.log(kind, value, on_step=False, on_epoch=True, reduce_fx=kind)
        self.seen.update(value)
        self.log("metric", self.seen, on_step=False, on_epoch=True)
        return F.relu(loss)


class LogsToo(Callback):
    """Stands behind the callback that saves."""

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        pl_module.log("callback", outputs["loss"].detach(), on_step=False, on_epoch=True)


class Epochs(Callback):
    """What each epoch's values were."""

    def __init__(self) -> None:
        self.values: dict[int, dict[str, float]] = {}

    def on_train_epoch_end(self, trainer: Any, *args: Any) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.values[trainer.current_epoch] = {name: values[name] for name in values if not name.endswith("_step")}


def epochs(folder, *callbacks, resumes=False, every=1):
    found = Epochs()
    saving = ModelCheckpoint(folder, save_last=True, every_n_train_steps=every)
    trainer = m.trainer(
        max_epochs=NUM_EPOCHS,
        # The interruption comes before that step is saved.
        callbacks=[*callbacks, ExactResume(), LogsToo(), found, saving],
        enable_checkpointing=True,
        log_every_n_steps=1,
    )
    set_generators(0)
    trainer.fit(m.fresh(Logs), long_tailed(), ckpt_path="last" if resumes else None)
    return found.values


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return epochs(tmp_path_factory.mktemp("straight"))


def test_each_way_of_logging_gives_a_value_of_its_own(straight):
    assert len(straight) == NUM_EPOCHS
    for values in straight.values():
        assert {"mean", "both", "both_epoch", "sum", "min", "max", "metric", "callback"} <= values.keys()
        assert values["min"] < values["mean"] < values["max"] < values["sum"]
        assert values["mean"] != values["both_epoch"]


@pytest.mark.parametrize("at", [2, STEPS, STEPS + 2, STEPS + 3, 2 * STEPS - 1])
def test_values_of_an_epoch_are_those_of_all_its_steps_wherever_it_was_interrupted(tmp_path, straight, at):
    with pytest.raises(KeyError, match=f"interrupted after step {at}"):
        epochs(tmp_path, Interrupt(at))
    resumed = epochs(tmp_path, resumes=True)
    # To the bit; but for epochs that were over by then.
    assert resumed == {epoch: straight[epoch] for epoch in resumed}
    assert set(resumed) >= set(range(at // STEPS, NUM_EPOCHS)) - ({0} if at == STEPS else set())


def test_interrupted_twice_within_an_epoch_too(tmp_path, straight):
    for at, resumes in ((STEPS + 2, False), (STEPS + 3, True)):
        with pytest.raises(KeyError):
            epochs(tmp_path, Interrupt(at), resumes=resumes)
    assert epochs(tmp_path, resumes=True) == {epoch: straight[epoch] for epoch in (1, 2)}


def test_what_was_logged_is_saved_as_tensors_and_plain_values(tmp_path):
    with pytest.raises(KeyError):
        epochs(tmp_path, Interrupt(STEPS + 3))
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    (saved,) = content["callbacks"]["ExactResume"]["ranks"]
    assert saved["logged"]["epoch"] == 1
    assert {"training_step.mean", "training_step.sum"} <= saved["logged"]["values"].keys()
    assert saved["logged"]["metrics"].keys() == {"seen"}
    assert saved["logged"]["metrics"]["seen"]["updates"] == 2
