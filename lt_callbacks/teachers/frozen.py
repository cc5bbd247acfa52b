from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class FrozenTeacher(ABC):
    """A model or its cached predictions, as something that only gives log-probabilities.

    It is no ``nn.Module``, so that a module that holds one has none of its parameters, in no state dict, optimiser,
    checkpoint or summary. Copies of the holder share it.

    Attributes:
        num_classes: C where it is known before the first prediction, else None.
        needs_index: Whether predictions are looked up by the samples' indices.
    """

    num_classes: int | None = None
    needs_index: bool = False

    @abstractmethod
    def log_probs(self, images: Tensor, index: Tensor | None = None, *, dtype: torch.dtype | None = None) -> Tensor:
        """(B, C) float32 log-probabilities of a batch, without a graph.

        Args:
            images: (B, ...) on the device where the answer is wanted.
            index: (B,) int64 identity of each sample; only cached predictions read it.
            dtype: Floating dtype of the module that is taught, which the teacher follows; None: left as it is.
        """

    def sha256(self) -> str | None:
        """Of everything that the answers depend on, where that can be told; equal teachers have equal ones."""
        return None

    def release(self) -> None:  # noqa: B027  # what holds no device memory has nothing to give back
        """Give the device's memory back after a fit."""

    def __deepcopy__(self, memo: dict[int, object]) -> FrozenTeacher:
        """Itself: a frozen teacher has no state that a copy could change."""
        return self


class ModuleTeacher(FrozenTeacher):
    """A trained module, copied, frozen and in eval mode for good.

    Args:
        module: Its ``forward(images)`` returns (B, C) logits. A ``LightningModule`` may still belong to a trainer.
        num_classes: C, where known.
    """

    def __init__(self, module: nn.Module, *, num_classes: int | None = None) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"`module` must be a torch.nn.Module; got {type(module).__name__}. Pass the trained module, or "
                "CachedTeacher(log_probs) for predictions."
            )
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.num_classes = num_classes

    @torch.no_grad()
    def log_probs(self, images: Tensor, index: Tensor | None = None, *, dtype: torch.dtype | None = None) -> Tensor:
        """See :meth:`FrozenTeacher.log_probs`."""
        self._follow(images.device, dtype)
        # A teacher that another hand put into train mode would learn batch statistics and drop units.
        if self.module.training:
            self.module.eval()
        logits = self.module(images)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ValueError(
                f"A teacher's `forward(images)` must return logits of shape ({len(images)}, C); "
                f"{type(self.module).__name__} returned {got}. Wrap it in a module that returns its logits."
            )
        with torch.autocast(logits.device.type, enabled=False):
            return (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(dim=1)

    def _follow(self, device: torch.device, dtype: torch.dtype | None) -> None:
        tensors = (*self.module.parameters(), *self.module.buffers())
        reference = next((tensor for tensor in tensors if tensor.is_floating_point()), None)
        if reference is not None and (reference.device != device or (dtype is not None and reference.dtype != dtype)):
            self.module.to(device=device, dtype=dtype)

    def sha256(self) -> str:
        """Of the module's weights and buffers."""
        return tensors_sha256(self.module.state_dict())

    def release(self) -> None:
        """Move the module back to the CPU."""
        self.module.cpu()


class CachedTeacher(FrozenTeacher):
    """Predictions made once and looked up by sample index; they do not see the step's augmentation.

    Args:
        log_probs: (num_samples, C) floating; row i belongs to the sample with index i. Rows must be distributions.
    """

    needs_index = True

    def __init__(self, log_probs: Tensor) -> None:
        if log_probs.ndim != 2 or not log_probs.is_floating_point():
            raise ValueError(
                f"`log_probs` must be floating with shape (num_samples, C); got {log_probs.dtype} "
                f"{tuple(log_probs.shape)}. Pass logits.log_softmax(1)."
            )
        total = log_probs.float().logsumexp(dim=1)
        # bfloat16 rounds the logarithms of a thousand equal probabilities by up to 0.016, all the same way.
        wrong = (~(total.abs() < 3e-2)).nonzero()[:, 0].tolist()
        if wrong:
            raise ValueError(
                f"`log_probs` must be log-probabilities: exp of every row sums to 1; row {wrong[0]} sums to "
                f"{float(total[wrong[0]].exp()):.3g} ({len(wrong)} such rows). Pass logits.log_softmax(1)."
            )
        self._table = log_probs.detach()
        self.num_classes = log_probs.shape[1]

    @torch.no_grad()
    def log_probs(self, images: Tensor, index: Tensor | None = None, *, dtype: torch.dtype | None = None) -> Tensor:
        """See :meth:`FrozenTeacher.log_probs`."""
        if index is None:
            raise ValueError(
                "`index` must be given for cached teacher predictions; got None. Yield (image, label, index) batches "
                "or set `index_from`."
            )
        if index.dtype not in (torch.int32, torch.int64) or index.shape != images.shape[:1]:
            raise ValueError(
                f"`index` must be int64 with shape ({len(images)},), one for each image; got {index.dtype} "
                f"{tuple(index.shape)}. Yield (image, label, index) batches or set `index_from`."
            )
        if self._table.device != images.device:
            self._table = self._table.to(images.device)
        return self._table[index].float()

    def sha256(self) -> str:
        """Of the table."""
        return tensors_sha256({"log_probs": self._table})

    def release(self) -> None:
        """Move the table back to the CPU."""
        self._table = self._table.cpu()


def tensors_sha256(state: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of named tensors, wherever they are; entries that are no tensors count by their text."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        if isinstance(value, Tensor):
            digest.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            digest.update(f"{name} {value!r};".encode())
    return digest.hexdigest()


def as_teacher(name: str, teacher: FrozenTeacher | nn.Module) -> FrozenTeacher:
    """``teacher`` as a :class:`FrozenTeacher`; ``name`` is the argument that an error names."""
    if isinstance(teacher, FrozenTeacher):
        return teacher
    if isinstance(teacher, nn.Module):
        return ModuleTeacher(teacher)
    hint = " Wrap a table of predictions in CachedTeacher." if isinstance(teacher, Tensor | Mapping) else ""
    raise TypeError(
        f"`{name}` must be a module that gives logits or a FrozenTeacher; got {type(teacher).__name__}.{hint}"
    )
