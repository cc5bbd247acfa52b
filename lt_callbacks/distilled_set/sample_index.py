from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError

#: Dtypes whose values may be positions or classes.
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def checked_samples(samples: Tensor, *, num_images: int, device: torch.device | str) -> Tensor:
    """``samples`` as (B,) int64 on ``device``, after a check that they are positions in the set.

    Values are checked where they lie on the CPU; on a GPU that would make the host wait for the device.

    Raises:
        TypeError: They are no tensor of integers.
        ValueError: They have another shape, or a position is not in the set.
    """
    if not isinstance(samples, Tensor) or samples.dtype not in INTEGERS:
        got = samples.dtype if isinstance(samples, Tensor) else type(samples).__name__
        raise ArgumentTypeError("samples", rule="be an int64 tensor of positions in the distilled set", got=str(got))
    if samples.ndim != 1:
        raise ArgumentValueError(
            "samples", rule="have shape (B,)", got=str(tuple(samples.shape)), way_out="Flatten it."
        )
    if samples.device.type == "cpu" and len(samples):
        low, high = (int(value) for value in samples.aminmax())
        if low < 0 or high >= num_images:
            raise ArgumentValueError(
                "samples",
                rule=f"be positions in 0..{num_images - 1}",
                got=str(low if low < 0 else high),
                way_out="Positions are those of the distilled set.",
            )
    return samples.to(device, torch.int64)
