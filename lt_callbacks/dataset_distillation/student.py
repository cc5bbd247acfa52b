from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lt_callbacks._checks import real
from lt_callbacks.dataset_distillation.student_loss import StudentLoss
from lt_callbacks.methods import Optimisation


class StudentBatch(NamedTuple):
    """One step's views and their labels; B samples of the distilled set.

    Attributes:
        images: (B, channels, H, W) float32, normalised.
        soft_logits: (B, C) float32 calibrated logits of the teacher, or None.
        classes: (B,) int64 intended classes.
        partner_classes: (B,) those of the images that were mixed in.
        share: (B,) float32 share of the sample's own image.
    """

    images: Tensor
    soft_logits: Tensor | None
    classes: Tensor
    partner_classes: Tensor
    share: Tensor


class Student(LightningModule):
    """A network trained on a distilled set; scored after its last step, never chosen on a test set.

    Args:
        network: (B, channels, H, W) images to (B, C) logits.
        loss: What is minimised.
        optimisation: Optimiser and schedule over all steps.
        ema_decay: In [0, 1): of a moving average of the weights, which predicts in the network's place; 0: none.
        channels_last: Keep images and weights in channels-last memory format.

    Logs ``train/loss``.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        loss: StudentLoss,
        optimisation: Optimisation,
        ema_decay: float = 0.0,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.ema_decay = real("ema_decay", ema_decay, at_least=0.0, below=1.0)
        self.loss, self.optimisation = loss, optimisation
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        self.average: AveragedModel | None = None
        if self.ema_decay:
            self.average = AveragedModel(
                copy.deepcopy(network), multi_avg_fn=get_ema_multi_avg_fn(self.ema_decay), use_buffers=True
            ).requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """(B, channels, H, W) images to (B, C) logits: of the average in evaluation, where there is one."""
        network = self.network if self.average is None or self.training else self.average
        return network(images.contiguous(memory_format=self.memory_format))

    def training_step(self, batch: StudentBatch, batch_idx: int) -> Tensor:
        """The loss on one batch of views."""
        logits = self(batch.images)
        loss = self.loss(logits, batch.soft_logits, batch.classes, batch.partner_classes, batch.share)
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.images))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: StudentBatch, batch_idx: int) -> None:
        """Moves the average of the weights towards those of this step."""
        if self.average is not None:
            self.average.update_parameters(self.network)

    def predict_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> tuple[Tensor, Tensor, Tensor]:
        """Logits in float32, labels and indices of a batch of real images."""
        images, label, index = batch
        return self(images).float(), label, index

    def configure_optimizers(self) -> Any:
        """The optimiser and schedule that the student was made with."""
        return self.optimisation.configure(
            self.network.parameters(), num_steps=int(self.trainer.estimated_stepping_batches)
        )
