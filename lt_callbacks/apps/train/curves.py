from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lt_callbacks._checks import integer
from lt_callbacks.metrics import ShotAccuracy


class History(Callback):
    """Keeps a training's curves: training loss, held-out accuracy, and now and then the test accuracy.

    Nothing is chosen by it. The trainer needs a datamodule with ``shot_class_counts`` where the test set is looked at.

    Args:
        test_every_n_epochs: 0: never. Otherwise the last epoch is tested too.

    Attributes:
        curves: ``epoch`` (counted from 1), ``train_loss``, ``val_accuracy``, ``test_accuracy`` (percent; NaN where it
            was not measured) -> one value an epoch.
    """

    def __init__(self, *, test_every_n_epochs: int = 0) -> None:
        self.test_every_n_epochs = integer("test_every_n_epochs", test_every_n_epochs, at_least=0)
        self.curves: dict[str, list[float]] = defaultdict(list)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Appends the epoch's values."""
        metrics = trainer.callback_metrics
        epoch = trainer.current_epoch + 1
        self.curves["epoch"].append(epoch)
        self.curves["train_loss"].append(float(metrics["train/loss"]))
        if "val/accuracy" in metrics:
            self.curves["val_accuracy"].append(100 * float(metrics["val/accuracy"]))
        if self.test_every_n_epochs:
            is_due = epoch % self.test_every_n_epochs == 0 or epoch == trainer.max_epochs
            self.curves["test_accuracy"].append(self._test(trainer, pl_module) if is_due else float("nan"))

    def state_dict(self) -> dict[str, Any]:
        """The curves so far, which a checkpoint keeps."""
        return {"curves": {name: list(line) for name, line in self.curves.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the curves of the run that stopped."""
        self.curves = defaultdict(list, {name: list(line) for name, line in state_dict["curves"].items()})

    @torch.no_grad()
    def _test(self, trainer: Trainer, pl_module: LightningModule) -> float:
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        accuracy = ShotAccuracy(class_counts=datamodule.shot_class_counts).to(pl_module.device)
        were_training = [module for module in pl_module.modules() if module.training]
        pl_module.eval()
        with trainer.precision_plugin.forward_context():
            for batch in datamodule.test_dataloader():
                images, label, _ = trainer.strategy.batch_to_device(batch)
                accuracy.update(pl_module(images).float(), label)
        # Not `train()`: a layer that its owner froze in eval mode stays so.
        for module in were_training:
            module.training = True
        return 100 * float(accuracy.compute()["all"])
