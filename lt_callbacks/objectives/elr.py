# Legend: B batch, C classes, N samples of the training set.
from __future__ import annotations

from typing import ClassVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from lt_callbacks._checks import real
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

    Where one batch holds a sample twice, one of its predictions enters the memory.

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
        """(N, C) memory, zero: a sample not seen yet is not regularised towards anything."""
        self.memory = torch.zeros(num_samples, len(class_counts), dtype=torch.float32, device=class_counts.device)

    def loss(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """Update the memory of the batch's samples, then the regularised loss."""
        if index is None:
            raise ValueError("`index` must be given; got None. Batches must be (image, label, index).")
        probs = F.softmax(logits, dim=1).clamp(1e-4, 1 - 1e-4)
        if torch.is_grad_enabled():
            self._remember(probs.detach(), index)
        agreement = (self.memory[index].to(probs.dtype) * probs).sum(dim=1)
        return F.cross_entropy(logits, given_label) + self.regularization * (1 - agreement).log().mean()

    def _remember(self, probs: Tensor, index: Tensor) -> None:
        share = (probs / probs.sum(dim=1, keepdim=True)).to(self.memory.dtype)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            share, index = _of_all_ranks(share, index)
        self.memory[index] = self.beta * self.memory[index] + (1 - self.beta) * share


def _of_all_ranks(share: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of all ranks, in rank order; their numbers may differ.

    Without the exchange DDP, which copies the buffers of rank 0 to the others at every step, would drop the updates of
    all other ranks.
    """
    num_ranks = dist.get_world_size()
    sizes = [torch.zeros(1, dtype=torch.int64, device=index.device) for _ in range(num_ranks)]
    dist.all_gather(sizes, torch.tensor([len(index)], dtype=torch.int64, device=index.device))
    lengths = torch.cat(sizes).tolist()

    padded_share, padded_index = share.new_zeros(max(lengths), share.shape[1]), index.new_zeros(max(lengths))
    padded_share[: len(share)], padded_index[: len(index)] = share, index
    shares = [torch.empty_like(padded_share) for _ in lengths]
    indices = [torch.empty_like(padded_index) for _ in lengths]
    dist.all_gather(shares, padded_share)
    dist.all_gather(indices, padded_index)
    return (
        torch.cat([rows[:length] for rows, length in zip(shares, lengths, strict=True)]),
        torch.cat([rows[:length] for rows, length in zip(indices, lengths, strict=True)]),
    )
