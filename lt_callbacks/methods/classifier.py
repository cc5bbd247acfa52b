from __future__ import annotations

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torchmetrics import MeanMetric

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.methods.optimisation import Optimisation
from lt_callbacks.objectives import CrossEntropy, Objective


class Classifier(LightningModule):
    """One network, one objective: what baselines and teachers are, and what D-SINK is added to.

    Args:
        network: (B, C, H, W) images to (B, num_classes) logits.
        objective: What is minimised; None: cross-entropy. It is told the data's class counts when the fit starts.
        optimisation: Optimiser and schedule; None: the defaults.
        channels_last: Keep images and weights in channels-last memory format, faster for convolutions in bf16.

    Batches are ``(image, given_label, index)``. The trainer's datamodule must have ``class_counts`` and
    ``num_samples``, as :class:`~lt_callbacks.data.LongTailedDataModule` has.

    Logs ``train/loss`` (epoch mean), ``val/accuracy`` and ``val/loss`` against the given labels of the held-out share,
    all of them over the samples of all ranks, whatever their shares.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        objective: Objective | None = None,
        optimisation: Optimisation | None = None,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective if objective is not None else CrossEntropy()
        self.optimisation = optimisation if optimisation is not None else Optimisation()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network.to(memory_format=self.memory_format)
        self.val_accuracy = MeanMetric()
        self.test_accuracy = MeanMetric()

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) images to (B, num_classes) logits."""
        return self.network(images.contiguous(memory_format=self.memory_format))

    def setup(self, stage: str) -> None:
        """Tells the objective what it has to know of the data."""
        if stage == "fit":
            # One device inside a larger job, such as a teacher's training, shares nothing with the other ranks.
            self.objective.spans_ranks = self.trainer.world_size > 1
            prepare_objective(self.objective, self.trainer)

    def on_train_epoch_start(self) -> None:
        """Tells the objective the epoch."""
        self.objective.set_epoch(self.current_epoch)

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        """The objective's loss of one batch, a scalar."""
        images, given_label, index = batch
        loss = self.objective(self(images), given_label, index)
        # Each rank's loss is scaled for a mean over ranks in which all count alike.
        size = self.objective.last_batch_size
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Logs accuracy and loss against the given labels of the held-out share."""
        images, given_label, _ = batch
        logits = self(images)
        self.val_accuracy.update((logits.argmax(dim=1) == given_label).float())
        self.log("val/accuracy", self.val_accuracy, on_epoch=True, prog_bar=True)
        loss = nn.functional.cross_entropy(logits.float(), given_label)
        # Lightning averages the sizes over ranks in their own type; the mean of integers would be cut to one.
        size: Any = float(len(images))
        self.log("val/loss", loss, batch_size=size, sync_dist=True)

    def predict_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C) logits in float32, (B,) labels and (B,) indices of the batch."""
        images, label, index = batch
        return self(images).float(), label, index

    def test_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        """Logs the accuracy against the labels of the test batches."""
        images, label, _ = batch
        self.test_accuracy.update((self(images).argmax(dim=1) == label).float())
        self.log("test/accuracy", self.test_accuracy, on_epoch=True)

    def configure_optimizers(self) -> Any:
        """The optimiser and its schedule over the steps of the fit.

        Raises:
            ValueError: The trainer has no limit that a schedule could end at.
        """
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise ArgumentValueError(
                "max_epochs",
                rule="be a limit of the trainer, or `max_steps` one, for a schedule to end at",
                got="none",
                way_out="Pass `max_epochs`.",
            )
        return self.optimisation.configure(self.network.parameters(), num_steps=int(steps))


class ClassifierNetwork(nn.Module):
    """A trained classifier's network alone, in the memory format that it was trained in.

    Args:
        classifier: Its network is shared, not copied; objective and metrics are left behind.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network = classifier.network
        self.memory_format = classifier.memory_format

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) images to (B, C) logits."""
        return self.network(images.contiguous(memory_format=self.memory_format))


def prepare_objective(objective: Objective, trainer: Any) -> None:
    """Tell an objective what it has to know of the training data, from the trainer's datamodule.

    Raises:
        ValueError: There is no datamodule with ``class_counts`` and ``num_samples``, or no limit of epochs.
    """
    datamodule = getattr(trainer, "datamodule", None)
    facts = {name: getattr(datamodule, name, None) for name in ("class_counts", "num_samples")}
    is_known = all(value is not None for value in facts.values())
    if objective.needs_prepare and not is_known:
        raise ArgumentValueError(
            "datamodule",
            rule=f"have `class_counts` and `num_samples` for {type(objective).__name__}",
            got=type(datamodule).__name__,
            way_out="Use LongTailedDataModule, or add the two attributes.",
        )
    if is_known:
        # A trainer that is limited by steps alone has -1 epochs; an objective that depends on the data refuses them.
        max_epochs = int(trainer.max_epochs)
        objective.prepare(
            class_counts=torch.as_tensor(facts["class_counts"]),
            num_samples=int(facts["num_samples"] or 0),
            max_epochs=max_epochs if objective.needs_prepare else max(max_epochs, 1),
        )
