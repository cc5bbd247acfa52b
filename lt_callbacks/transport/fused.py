# Legend: N samples, C classes.
from __future__ import annotations

import contextlib
import functools
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from lt_callbacks.transport.result import SinkhornResult

#: Entries of the largest tile, sides rounded up to powers of two. Its kernel matrix takes 64 registers of each thread.
MAX_ENTRIES = 32768
#: Vectors over the classes are held by every warp: with more of them a sweep spills.
MAX_CLASSES = 256
MIN_SIDE = 16
#: Tiles of more entries take 16 warps; see docs/benchmarks/fused_kernel.py.
ENTRIES_OF_4_WARPS, ENTRIES_OF_8_WARPS = 4096, 16384

#: A Triton that was seen to keep tiles in registers. 3.0 to 3.4 move a whole tile through shared memory when they load
#: and store it, of which some devices have too little for the largest tile.
IN_REGISTERS_SINCE = (3, 9)

#: True: these kernels on every device, as Triton's interpreter has them; False: on none; None: where they can run.
FORCED: bool | None = None


class Harmonised(NamedTuple):
    """What :func:`harmonise` returns for the own rows; float32, nothing carries a gradient.

    Attributes:
        labels: (N_own, C) proxy labels; zeros where one of the three models was not finite.
        gradient: (N_own, C) of ``divergence`` by the student's logits.
        divergence: 0-d. Mean over the own rows of KL(label || student).
        marginal_error: 0-d, see :class:`lt_callbacks.transport.SinkhornResult`.
        iterations: 0-d int64.
        is_nonfinite: (N_own, 2) bool: where the noise-robust and the imbalance-robust teacher was not finite.
        num_nonfinite: (2,) int64, over all rows.
    """

    labels: Tensor
    gradient: Tensor
    divergence: Tensor
    marginal_error: Tensor
    iterations: Tensor
    is_nonfinite: Tensor
    num_nonfinite: Tensor


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
    """The tile of a problem that :func:`fits`."""
    rows, columns = _power_of_two(num_rows), _power_of_two(num_classes)
    entries = rows * columns
    # More lanes to a row mean more shuffles; fewer, longer vectors over the classes in each thread.
    width = 32 if columns > 64 else 16 if columns > 32 else 8 if columns > 16 or rows <= 256 else 4
    num_warps = 4 if entries <= ENTRIES_OF_4_WARPS else 8 if entries <= ENTRIES_OF_8_WARPS else 16
    return Tile(rows=rows, groups=columns // width, width=width, num_warps=num_warps)


def solve(
    log_kernel: Tensor,
    class_marginal: Tensor,
    *,
    tolerance: float,
    relative: bool,
    max_iterations: int,
    accelerate: bool,
) -> SinkhornResult:
    """:func:`lt_callbacks.transport.sweeps.solve` in one launch that stops at the tolerance without the host.

    Args:
        log_kernel: (N, C) float32 or half precision, of a shape that :func:`fits`.
        class_marginal: (C,), as its other arguments.
        tolerance: Error at which the sweeps stop.
        relative: The criterion.
        max_iterations: Limit of sweeps.
        accelerate: Nesterov momentum with gradient restart.

    Results agree with the other solver's to rounding and are the same to the last bit each time. No host
    synchronisation; may be captured in a CUDA graph.
    """
    num_rows, num_classes = log_kernel.shape
    shape = tile(num_rows, num_classes)
    log_kernel = _in_rows(log_kernel)
    plan = log_kernel.new_empty(num_rows, num_classes, dtype=torch.float32)
    log_class_scaling = plan.new_empty(num_classes)
    marginal_error = plan.new_empty(())
    iterations = plan.new_empty((), dtype=torch.int64)
    with _on(plan.device):
        _kernels_or_raise().transport_kernel[(1,)](
            log_kernel,
            class_marginal.detach().contiguous(),
            plan,
            log_class_scaling,
            marginal_error,
            iterations,
            num_rows,
            num_classes,
            log_kernel.stride(0),
            float(tolerance),
            max_iterations,
            ROWS=shape.rows,
            GROUPS=shape.groups,
            WIDTH=shape.width,
            RELATIVE=relative,
            ACCELERATE=accelerate,
            num_warps=shape.num_warps,
        )
    return SinkhornResult(plan, log_class_scaling, marginal_error, iterations)


def harmonise(
    student_logits: Tensor,
    noise: Tensor,
    imbalance: Tensor,
    *,
    student_weight: float,
    tolerance: float,
    max_iterations: int,
    class_marginal: Tensor | None = None,
    own: slice | None = None,
) -> Harmonised:
    """Three models' predictions to proxy labels, their divergence from the student and its gradient, in one launch.

    Rows are masked, and the labels found, as :class:`lt_callbacks.dsink.ProxyLabeler` does it; total variation and
    Nesterov momentum.

    Args:
        student_logits: (N, C) float32 or half precision, of a shape that :func:`fits`; any row stride, as the next two.
        noise: (N, C) log-probabilities of the noise-robust teacher up to a constant in each row, such as logits.
        imbalance: (N, C) likewise of the imbalance-robust teacher.
        student_weight: w of the kernel p^w * p_N^(1-w).
        tolerance: Total variation at which the sweeps stop.
        max_iterations: Limit of sweeps.
        class_marginal: (C,) >= 0; proportions. None: the sum of the imbalance-robust teacher's probabilities.
        own: The rows to answer for; None: all. The others take part in the transport.

    No host synchronisation; may be captured in a CUDA graph.
    """
    num_rows, num_classes = student_logits.shape
    start, stop = (0, num_rows) if own is None else (own.start, own.stop)
    shape = tile(num_rows, num_classes)
    student, noise, imbalance = (_in_rows(rows) for rows in (student_logits, noise, imbalance))
    labels = student.new_empty(stop - start, num_classes, dtype=torch.float32)
    numbers, counts = labels.new_empty(2), labels.new_empty(3, dtype=torch.int64)
    found = Harmonised(
        labels=labels,
        gradient=torch.empty_like(labels),
        divergence=numbers[0],
        marginal_error=numbers[1],
        iterations=counts[2],
        is_nonfinite=labels.new_empty(stop - start, 2, dtype=torch.bool),
        num_nonfinite=counts[:2],
    )
    with _on(labels.device):
        _kernels_or_raise().harmonise_kernel[(1,)](
            student,
            noise,
            imbalance,
            # Without one the pointer is not followed.
            numbers if class_marginal is None else class_marginal.detach().contiguous(),
            found.labels,
            found.gradient,
            numbers,
            found.is_nonfinite.view(torch.uint8),
            counts,
            num_rows,
            num_classes,
            student.stride(0),
            noise.stride(0),
            imbalance.stride(0),
            start,
            stop,
            float(student_weight),
            1 / max(stop - start, 1),
            float(tolerance),
            max_iterations,
            ROWS=shape.rows,
            GROUPS=shape.groups,
            WIDTH=shape.width,
            GIVEN_MARGINAL=class_marginal is not None,
            num_warps=shape.num_warps,
        )
    return found


def _power_of_two(side: int) -> int:
    return max(MIN_SIDE, 1 << max(side - 1, 0).bit_length())


def _in_rows(values: Tensor) -> Tensor:
    """``values`` with the entries of a row side by side, at offsets that 32 bits hold."""
    values = values.detach()
    is_fit = values.stride(1) == 1 and values.stride(0) * values.shape[0] < 2**31
    return values if is_fit else values.contiguous()


def _on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Triton launches on the current device."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


@functools.cache
def _can_run(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.cuda is None or not torch.cuda.is_available():
        return False
    properties = torch.cuda.get_device_properties(device)
    if (properties.major, properties.minor) < (8, 0) or _kernels() is None:
        return False
    shared_bytes = getattr(properties, "shared_memory_per_block_optin", 0)
    return _triton_version() >= IN_REGISTERS_SINCE or shared_bytes > 4 * MAX_ENTRIES


@functools.cache
def _kernels() -> ModuleType | None:
    """The module of the kernels, or None where Triton is not there or too old; loaded on first use."""
    try:
        if _triton_version() < (3, 0):
            return None
        from lt_callbacks.transport import fused_kernel
    except ImportError:
        return None
    return fused_kernel


def _triton_version() -> tuple[int, int]:
    import triton

    major, minor = triton.__version__.split(".")[:2]
    return int(major), int(minor)


def _kernels_or_raise() -> ModuleType:
    kernels = _kernels()
    if kernels is None:
        raise RuntimeError(
            "the one-launch solver needs Triton 3 or later; it could not be imported. Install `triton`, or pass "
            "`backend='torch'`."
        )
    return kernels
