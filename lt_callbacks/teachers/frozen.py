from __future__ import annotations

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError


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

    def predictions(self, images: Tensor, index: Tensor | None = None, *, dtype: torch.dtype | None = None) -> Tensor:
        """(B, C) log-probabilities up to a constant in each row, such as logits; float32 or better, without a graph.

        For whoever normalises rows anyway. The arguments are those of :meth:`log_probs`, which this is by default.
        """
        return self.log_probs(images, index, dtype=dtype)

    def sha256(self) -> str | None:
        """Hexadecimal SHA-256 of all that the answers depend on, equal for equal teachers; None where it is unknown."""
        return None

    def release(self) -> None:  # noqa: B027  # what holds no device memory has nothing to give back
        """Give the device's memory back after a fit."""

    def __deepcopy__(self, memo: dict[int, object]) -> FrozenTeacher:
        """Itself: a frozen teacher has no state that a copy could change."""
        return self


class ModuleTeacher(FrozenTeacher):
    """A trained module, copied, frozen and in eval mode for good.

    It runs in inference mode, under the autocast that surrounds the call, on the images' device and in their memory
    format. What it returns is an ordinary tensor, which a graph may hold as a constant.

    Args:
        module: Its ``forward(images)`` returns (B, C) logits. A ``LightningModule`` may still belong to a trainer.
        num_classes: C, where known.
        compile: Whether ``torch.compile`` makes its forward faster; the first calls, and a smaller last batch, take
            longer.
    """

    def __init__(self, module: nn.Module, *, num_classes: int | None = None, compile: bool = False) -> None:
        if not isinstance(module, nn.Module):
            raise ArgumentTypeError(
                "module",
                rule="be a torch.nn.Module",
                got=type(module).__name__,
                way_out="Pass the trained module, or CachedTeacher(log_probs) for predictions.",
            )
        if not isinstance(compile, bool):
            raise ArgumentTypeError("compile", rule="be True or False", got=repr(compile), way_out="Pass one of them.")
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        if compile:
            # In place: names in the state dict, and with them the hash, stay as they are.
            self.module.compile()
        self.num_classes = num_classes
        self._is_channels_last = False

    @torch.no_grad()
    def log_probs(self, images: Tensor, index: Tensor | None = None, *, dtype: torch.dtype | None = None) -> Tensor:
        """(B, C) log-probabilities from the module's logits; see :meth:`FrozenTeacher.log_probs`."""
        logits = self._logits(images, dtype)
        # After inference mode, whose own tensors cannot be saved for a backward pass.
        with torch.autocast(logits.device.type, enabled=False):
            return (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(dim=1)

    @torch.no_grad()
    def predictions(self, images: Tensor, index: Tensor | None = None, *, dtype: torch.dtype | None = None) -> Tensor:
        """(B, C) logits of the module; see :meth:`FrozenTeacher.predictions`."""
        logits = self._logits(images, dtype)
        # A copy in any case: the module's own output is a tensor of inference mode, or the images themselves.
        return logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)

    def _logits(self, images: Tensor, dtype: torch.dtype | None) -> Tensor:
        self._follow(images, dtype)
        # A teacher that another hand put into train mode would learn batch statistics and drop units.
        if self.module.training:
            self.module.eval()
        with torch.inference_mode():
            logits = self.module(images)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
            returned = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise ArgumentValueError(
                "module",
                rule=f"return logits of shape ({len(images)}, C) from `forward(images)` to be a teacher",
                got=f"{returned} from {type(self.module).__name__}",
                way_out="Wrap it in a module that returns its logits.",
            )
        return logits

    def _follow(self, images: Tensor, dtype: torch.dtype | None) -> None:
        tensors = chain(self.module.parameters(), self.module.buffers())
        reference = next((tensor for tensor in tensors if tensor.is_floating_point()), None)
        if reference is None:
            return
        if reference.device != images.device or (dtype is not None and reference.dtype != dtype):
            self.module.to(device=images.device, dtype=dtype)
        if not self._is_channels_last and _is_channels_last(images):
            # Convolutions would turn their weights around in every step.
            self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._is_channels_last = True

    def sha256(self) -> str:
        """Hexadecimal SHA-256 of the module's weights and buffers."""
        return tensors_sha256(self.module.state_dict())

    def release(self) -> None:
        """Move the module back to the CPU."""
        self.module.cpu()


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
    """A module or teacher as a :class:`FrozenTeacher`; anything else is refused under the argument's ``name``."""
    if isinstance(teacher, FrozenTeacher):
        return teacher
    if isinstance(teacher, nn.Module):
        return ModuleTeacher(teacher)
    is_table = isinstance(teacher, Tensor | Mapping)
    raise ArgumentTypeError(
        name,
        rule="be a module that gives logits or a FrozenTeacher",
        got=type(teacher).__name__,
        way_out="Wrap a table of predictions in CachedTeacher." if is_table else "",
    )


def _is_channels_last(images: Tensor) -> bool:
    """Whether images lie so and not otherwise; of one channel or one pixel both are true."""
    is_so = images.ndim == 4 and images.is_contiguous(memory_format=torch.channels_last)
    return is_so and not images.is_contiguous()
