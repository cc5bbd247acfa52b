# Legend: B batch, C classes, N samples of the training set.
from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._ranks import all_ranks, gather_rows
from lt_callbacks._tensors import can_be_read, check_range
from lt_callbacks.objectives.base import Objective


class EarlyLearningRegularization(Objective):
    """Cross-entropy + regularization * mean log(1 - <t_i, p_i>), t_i a running average of the sample's predictions.

    A network fits right labels before wrong ones; t_i remembers what it thought of sample i then, and the term, lower
    the more p_i agrees with t_i, keeps the gradient of a wrong label from winning later.

    The order of the published code: p clamped to [1e-4, 1 - 1e-4]; t_i <- beta t_i + (1 - beta) p_i / sum(p_i), without
    gradient; then the loss with the new t_i. The memory changes only in training mode with gradients on. It is a
    buffer, so a resumed run continues with it. Training on several devices, each step's updates are exchanged: every
    rank's memory is the one that a single process would have.

    Args:
        beta: Weight of the past in the memory, in [0, 1).
        regularization: The paper's lambda, >= 0.

    Where the batches of all ranks hold a sample twice, as padding samplers make them, the first of its predictions
    enters the memory, in the order of ranks and of their batches; all of them see the updated memory.

    Cost: memory of 4 * N * C bytes on the device.
    Reference: Liu et al., Early-Learning Regularization Prevents Memorization of Noisy Labels, NeurIPS 2020
    (arXiv 2007.00151), section 4. Settings of the authors: CIFAR-10 symmetric beta 0.7, lambda 3; CIFAR-10
    asymmetric 0.9, 1; CIFAR-100 0.9, 7.
    """

    needs_index: ClassVar[bool] = True
    needs_prepare = True
    memory: Tensor

    def __init__(self, *, beta: float = 0.7, regularization: float = 3.0) -> None:
        super().__init__()
        self.beta = real("beta", beta, at_least=0.0, below=1.0)
        self.regularization = real("regularization", regularization, at_least=0.0)
        self.register_buffer("memory", None)

    def allocate(self, class_counts: Tensor, *, num_samples: int, max_epochs: int) -> None:
        """Make the (N, C) memory, zero: a sample not seen yet is not regularised towards anything."""
        self.memory = torch.zeros(num_samples, len(class_counts), dtype=torch.float32, device=class_counts.device)

    def losses(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """Update the memory of the batch's samples, then their regularised losses."""
        if index is None:
            raise ArgumentValueError(
                "index", rule="be given", got="None", way_out="Batches must be (image, label, index)."
            )
        size = len(self.memory)
        check_range(
            "index", index, below=size, way_out=f"The objective was prepared for {size} samples: see `num_samples`."
        )
        if not can_be_read(index):
            # Nothing was looked at: a negative number would count from the end, one beyond it stops the kernel.
            index = torch.where(index < 0, size, index)
        probs = F.softmax(logits, dim=1).clamp(1e-4, 1 - 1e-4)
        if torch.is_grad_enabled():
            self._remember(probs.detach(), index)
        agreement = (self.memory[index].to(probs.dtype) * probs).sum(dim=1)
        return self.cross_entropy(logits, given_label) + self.regularization * (1 - agreement).log()

    def _remember(self, probs: Tensor, index: Tensor) -> None:
        share = (probs / probs.sum(dim=1, keepdim=True)).to(self.memory.dtype)
        group = all_ranks()
        if group is not None and self._shares is not None:
            # Without the exchange DDP, which copies the buffers of rank 0 to the others at every step, would drop the
            # updates of all other ranks.
            share, index = (torch.cat(gather_rows(rows, group, lengths=self._shares)) for rows in (share, index))
        # Writes of different values to one place would come in any order.
        share = share[_first_places(index)]
        self.memory[index] = self.beta * self.memory[index] + (1 - self.beta) * share


def _first_places(index: Tensor) -> Tensor:
    """(N,) int64: where each entry of ``index`` (N,) stands for the first time; nothing is read on the host."""
    ascending, order = index.sort(stable=True)
    return order[torch.searchsorted(ascending, index)]
