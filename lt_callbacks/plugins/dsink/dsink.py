from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.dsink import ProxyLabeler, ProxyLabels
from lt_callbacks.dsink.nonfinite import NonfiniteReport
from lt_callbacks.teachers.batch_fields import BatchField
from lt_callbacks.teachers.frozen import FrozenTeacher, as_teacher


@dataclass(frozen=True)
class DSinkStep:
    """What D-SINK did in the last step, for monitors: detached, on the device.

    Attributes:
        proxy: The proxy labels and their diagnostics.
        index: (B,) the samples' indices where the batch has them.
        alpha: Weight of the loss at this step.
    """

    proxy: ProxyLabels
    index: Tensor | None
    alpha: float


class DSink:
    """D-SINK: two weak frozen teachers, harmonised by optimal transport into proxy labels for the trained model.

    Loss = base loss + alpha * mean_i KL(q_i || p_i). It keeps no parameter; attach it with :class:`DSinkMixin` or
    :class:`DSinkCallback`, or call :meth:`loss` in a loop of your own.

    Args:
        noise_teacher: Robust to wrong labels: gives each sample's label (f_N). A module whose ``forward(images)``
            returns logits, or a :class:`~lt_callbacks.teachers.FrozenTeacher`. Modules are copied.
        imbalance_teacher: Robust to imbalance: gives the classes' total mass (f_L).
        alpha: Weight of the loss, >= 0.
        warmup_epochs: alpha rises linearly from 0 over so many epochs.
        student_weight: Exponent of the student's prediction in the kernel, in [0, 1]; the paper's is 1/2.
        class_marginal: ``"batch"`` (default), ``"running"``, or to see what the constraint does ``"uniform"``,
            ``"student"``, ``"none"``.
        queue_batches: Past batches that join the transport problem.
        scope: Under data parallelism, ``"global"``: one problem over all ranks, the result of one process with the
            whole batch; ``"local"``: one problem a rank.
        max_iterations: Limit of sweeps a step.
        tolerance: Total variation of the class marginal at which the sweeps stop.
        logits_from: Name of the submodule whose output are the logits; None: the module's own ``forward``.
        images_from: Key or position of the images in the batch, for ``logits_from``; None: what ``forward`` was called
            with, or the first item where it was not. Without ``logits_from`` the teachers see what ``forward`` was
            called with.
        index_from: Key or position of the sample indices in the batch, for cached teachers; None: ``"index"`` in a
            mapping, or what this package's own datasets give, such as `lt_callbacks.data.add_index`. The third item of
            other batches is never taken for an index.
        on_nonfinite: What follows a teacher's non-finite output, whose rows are masked either way: ``"raise"`` (at the
            next step, on all ranks alike), ``"warn"`` once, ``"ignore"``.

    Raises:
        TypeError: A teacher is no module.
        ValueError: A setting is out of range, or the teachers have different numbers of classes.

    Reference: arXiv 2510.08179.

    Example:
        In a loop of your own, with linear networks for images of two numbers and three classes:

        >>> import torch
        >>> from lt_callbacks import DSink
        >>> model, f_N, f_L = (torch.nn.Linear(2, 3) for _ in range(3))
        >>> dsink = DSink(noise_teacher=f_N, imbalance_teacher=f_L)
        >>> images = torch.randn(8, 2)
        >>> dsink.loss(model(images), images).backward()  # to be added to the base loss
        >>> dsink.last_step.proxy.labels.shape
        torch.Size([8, 3])
    """

    def __init__(
        self,
        *,
        noise_teacher: FrozenTeacher | nn.Module,
        imbalance_teacher: FrozenTeacher | nn.Module,
        alpha: float = 10.0,
        warmup_epochs: int = 0,
        student_weight: float = 0.5,
        class_marginal: str = "batch",
        queue_batches: int = 0,
        scope: str = "global",
        max_iterations: int = 100,
        tolerance: float = 1e-3,
        logits_from: str | None = None,
        images_from: BatchField | None = None,
        index_from: BatchField | None = None,
        on_nonfinite: str = "raise",
    ) -> None:
        self.noise_teacher = as_teacher("noise_teacher", noise_teacher)
        self.imbalance_teacher = as_teacher("imbalance_teacher", imbalance_teacher)
        known = {teacher.num_classes for teacher in (self.noise_teacher, self.imbalance_teacher)} - {None}
        if len(known) > 1:
            raise ArgumentValueError(
                "imbalance_teacher",
                rule=f"have the classes of `noise_teacher`, {self.noise_teacher.num_classes}",
                got=str(self.imbalance_teacher.num_classes),
                way_out="Train both on one data set.",
            )
        self.alpha = real("alpha", alpha, at_least=0.0)
        self.warmup_epochs = integer("warmup_epochs", warmup_epochs, at_least=0)
        self.labeler = ProxyLabeler(
            student_weight=student_weight,
            class_marginal=class_marginal,
            queue_batches=queue_batches,
            scope=scope,
            max_iterations=max_iterations,
            tolerance=tolerance,
        )
        if images_from is not None and logits_from is None:
            raise ArgumentValueError(
                "images_from",
                rule="be None unless `logits_from` names a submodule",
                got=repr(images_from),
                way_out="Without `logits_from` the teachers see the images that `forward` was called with.",
            )
        self.logits_from = logits_from
        self.images_from = images_from
        self.index_from = index_from
        self.on_nonfinite = one_of("on_nonfinite", on_nonfinite, ("raise", "warn", "ignore"))
        self.last_step: DSinkStep | None = None
        self._nonfinite = NonfiniteReport(action=self.on_nonfinite)

    @property
    def needs_index(self) -> bool:
        """Whether a teacher looks predictions up by sample index."""
        return self.noise_teacher.needs_index or self.imbalance_teacher.needs_index

    def alpha_at(self, epoch: int) -> float:
        """Weight of the loss in ``epoch``, counted from 0."""
        if epoch >= self.warmup_epochs:
            return self.alpha
        return self.alpha * epoch / self.warmup_epochs

    def loss(
        self,
        logits: Tensor,
        images: Tensor,
        *,
        index: Tensor | None = None,
        epoch: int = 0,
        dtype: torch.dtype | None = None,
    ) -> Tensor:
        """D-SINK's loss of one step, alpha * mean_i KL(q_i || p_i), to be added to the base loss.

        Args:
            logits: (B, C) of the model that is trained, with its graph.
            images: (B, ...) what the teachers are shown: the same augmented view.
            index: (B,) int64 sample identities; needed for cached teachers.
            epoch: Counted from 0, for the warm-up.
            dtype: Parameter dtype of the model, which the teachers follow.

        Returns:
            Scalar. Under data parallelism it is scaled so that averaging gradients over ranks gives the global mean.

        Raises:
            ValueError: The logits are not those of two or more classes, a teacher has another number of classes, or no
                index was given where one is needed.
            RuntimeError: A teacher was not finite at the step before.
        """
        self._nonfinite.check()
        if logits.ndim != 2 or logits.shape[1] < 2:
            raise ArgumentValueError(
                "logits",
                rule="have shape (B, C) with a column for each of C >= 2 classes",
                got=str(tuple(logits.shape)),
                way_out="Give a network with one logit for two classes two outputs and cross-entropy, or pass "
                "`torch.cat([torch.zeros_like(logit), logit], dim=1)`; the teachers need two as well.",
            )
        noise = self.noise_teacher.predictions(images, index, dtype=dtype)
        imbalance = self.imbalance_teacher.predictions(images, index, dtype=dtype)
        for name, predictions in (("noise_teacher", noise), ("imbalance_teacher", imbalance)):
            if predictions.shape != logits.shape:
                raise ArgumentValueError(
                    name,
                    rule=f"have the model's classes: expected predictions {tuple(logits.shape)}",
                    got=str(tuple(predictions.shape)),
                    way_out="Use a teacher trained on the same data set.",
                )
        group = dist.group.WORLD if dist.is_available() and dist.is_initialized() else None
        alpha = self.alpha_at(epoch)
        loss, proxy = self.labeler.loss(logits, noise, imbalance, alpha=alpha, process_group=group)
        self._nonfinite.note(proxy.num_nonfinite, proxy.is_nonfinite, index)
        self.last_step = DSinkStep(proxy=proxy, index=index, alpha=alpha)
        return loss

    def facts(self) -> dict[str, Any]:
        """Settings, and teachers by their content: what must be equal on all ranks of a training."""
        labeler = self.labeler
        return {
            "alpha": self.alpha,
            "warmup_epochs": self.warmup_epochs,
            "student_weight": labeler.student_weight,
            "class_marginal": labeler.class_marginal.kind,
            "queue_batches": labeler.queue_batches,
            "scope": labeler.scope,
            "max_iterations": labeler.max_iterations,
            "tolerance": labeler.tolerance,
            "logits_from": self.logits_from,
            "noise_teacher": self.noise_teacher.sha256(),
            "imbalance_teacher": self.imbalance_teacher.sha256(),
        }

    def start(self) -> None:
        """Begin a fit: forget the last step of one before, which may have failed in the middle of it."""
        self.last_step = None
        self._nonfinite.forget()

    def finish(self) -> None:
        """End a fit: report a teacher that was not finite in the last step, and give device memory back."""
        self.last_step = None
        for teacher in (self.noise_teacher, self.imbalance_teacher):
            teacher.release()
        self._nonfinite.check()

    def state_dict(self) -> dict[str, Any]:
        """Running marginal and queue, for the checkpoint; no teacher."""
        return self.labeler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint's running marginal and queue."""
        self.labeler.load_state_dict(state)

    def __deepcopy__(self, memo: dict[int, object]) -> DSink:
        """The object itself: averaged copies of a module share the teachers."""
        return self
