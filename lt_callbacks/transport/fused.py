# Legend: N samples, C classes.
"""Which problems the GPU kernels are for, how they lie in registers, and what every launch needs."""

from __future__ import annotations

import contextlib
import functools
from typing import NamedTuple

import torch
from torch import Tensor

from lt_callbacks._errors import StateError

#: Entries of the largest tile, sides rounded up to powers of two. Its kernel matrix takes 64 registers of each thread.
MAX_ENTRIES = 32768
#: Vectors over the classes are held by every warp: with more of them a sweep spills.
MAX_CLASSES = 256
MIN_SIDE = 16
#: Tiles of more entries take 16 warps; see docs/benchmarks/fused_kernel.py.
ENTRIES_OF_4_WARPS, ENTRIES_OF_8_WARPS = 4096, 16384

#: First Triton that was seen to keep tiles in registers. 3.0 to 3.4 move a whole tile through shared memory when they
#: load and store it, of which some devices have too little for the largest tile.
IN_REGISTERS_SINCE = (3, 9)

#: True: these kernels on every device, as Triton's interpreter has them; False: on none; None: where they can run.
FORCED: bool | None = None


class Tile(NamedTuple):
    """How a problem lies in registers: ``rows`` x ``groups`` * ``width`` entries, shared out over ``num_warps``."""

    rows: int
    groups: int
    width: int
    num_warps: int


def is_available(device: torch.device) -> bool:
    """Whether the kernels run on ``device``: an NVIDIA GPU of compute capability 8.0 or higher, Triton 3 or later."""
    if FORCED is not None:
        return FORCED
    return _can_run(device)


def fits(num_rows: int, num_classes: int) -> bool:
    """Whether a problem fits into the registers of one block."""
    if not 0 < num_classes <= MAX_CLASSES:
        return False
    return _power_of_two(num_rows) * _power_of_two(num_classes) <= MAX_ENTRIES


def tile(num_rows: int, num_classes: int) -> Tile:
    """How a problem that :func:`fits` lies in registers."""
    rows, columns = _power_of_two(num_rows), _power_of_two(num_classes)
    entries = rows * columns
    # More lanes to a row mean more shuffles; fewer, longer vectors over the classes in each thread.
    width = 32 if columns > 64 else 16 if columns > 32 else 8 if columns > 16 or rows <= 256 else 4
    num_warps = 4 if entries <= ENTRIES_OF_4_WARPS else 8 if entries <= ENTRIES_OF_8_WARPS else 16
    return Tile(rows=rows, groups=columns // width, width=width, num_warps=num_warps)


def packed_rows(values: Tensor) -> Tensor:
    """``values`` detached, with the entries of a row side by side, at offsets that 32 bits hold."""
    values = values.detach()
    is_fit = values.stride(1) == 1 and values.stride(0) * values.shape[0] < 2**31
    return values if is_fit else values.contiguous()


def launch_on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context of a launch on ``device``: Triton launches on the current one."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


@functools.cache
def has_triton() -> bool:
    """Whether Triton is installed and new enough; loads it."""
    try:
        return _triton_version() >= (3, 0)
    except ImportError:
        return False


def require_triton() -> None:
    """Raise where there is no Triton to launch a kernel with."""
    if not has_triton():
        raise StateError(
            "The fused solver needs Triton 3 or later; it could not be imported. Install `triton`, or pass "
            "`backend='torch'`."
        )


def _power_of_two(side: int) -> int:
    return max(MIN_SIDE, 1 << max(side - 1, 0).bit_length())


@functools.cache
def _can_run(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.cuda is None or not torch.cuda.is_available():
        return False
    properties = torch.cuda.get_device_properties(device)
    if (properties.major, properties.minor) < (8, 0) or not has_triton():
        return False
    shared_bytes = getattr(properties, "shared_memory_per_block_optin", 0)
    return _triton_version() >= IN_REGISTERS_SINCE or shared_bytes > 4 * MAX_ENTRIES


def _triton_version() -> tuple[int, int]:
    import triton

    major, minor = triton.__version__.split(".")[:2]
    return int(major), int(minor)
