# Legend: N samples, C classes, g log class scaling. Layout of a tile: see fused_sweeps.py.
#
# Parameters in Triton have no types but Triton's.
# mypy: disable-error-code="no-untyped-def"
"""The GPU kernels that are launched, each by one block: a transport problem, and the harmonising of three models."""

from __future__ import annotations

import triton
import triton.language as tl

from lt_callbacks.transport.fused_sweeps import (
    INF,
    is_finite,
    load_tile,
    mark_nan,
    max_rows,
    sum_classes,
    sum_rows,
    transport,
)

NAN = tl.constexpr(float("nan"))


# No number makes another program: neither the length of the last batch nor a stride, which would change the layout.
@triton.jit(do_not_specialize=["num_rows", "num_classes", "stride", "max_iterations"])
def transport_kernel(
    log_kernel,
    class_marginal,
    plan,
    log_class_scaling,
    marginal_error,
    iterations,
    num_rows,
    num_classes,
    stride,
    tolerance,
    max_iterations,
    ROWS: tl.constexpr,
    GROUPS: tl.constexpr,
    WIDTH: tl.constexpr,
    RELATIVE: tl.constexpr,
    ACCELERATE: tl.constexpr,
):
    """One block solves one problem: (N, C) log kernel and (C,) marginal to plan, g, error and sweeps."""
    row = tl.arange(0, ROWS)
    column = tl.arange(0, GROUPS)[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
    is_row = row < num_rows
    is_class = column < num_classes
    is_inside = is_row[None, :, None] & is_class[:, None, :]
    marginal = tl.load(class_marginal + column, mask=is_class, other=0.0).to(tl.float32)
    found, g, error, sweeps, _ = transport(
        log_kernel,
        log_kernel,
        row,
        column,
        stride,
        stride,
        is_inside,
        is_row,
        1.0,
        marginal,
        tolerance,
        max_iterations,
        False,
        RELATIVE,
        ACCELERATE,
    )
    tl.store(plan + row[None, :, None] * num_classes + column[:, None, :], found, mask=is_inside)
    tl.store(log_class_scaling + column, tl.where(marginal > 0.0, g, -INF), mask=is_class)
    tl.store(marginal_error, error)
    tl.store(iterations, sweeps.to(tl.int64))


@triton.jit(
    do_not_specialize=[
        "num_rows",
        "num_classes",
        "student_stride",
        "noise_stride",
        "imbalance_stride",
        "own_start",
        "own_stop",
        "max_iterations",
    ]
)
def harmonise_kernel(
    student,
    noise,
    imbalance,
    class_marginal,
    labels,
    gradient,
    numbers,
    is_nonfinite,
    counts,
    num_rows,
    num_classes,
    student_stride,
    noise_stride,
    imbalance_stride,
    own_start,
    own_stop,
    student_weight,
    scale,
    tolerance,
    max_iterations,
    ROWS: tl.constexpr,
    GROUPS: tl.constexpr,
    WIDTH: tl.constexpr,
    GIVEN_MARGINAL: tl.constexpr,
):
    """One block: predictions of three models to proxy labels, their divergence and its gradient, and bad rows.

    Labels, gradient, divergence and flags are those of the rows ``own_start`` to ``own_stop``. ``numbers`` takes
    divergence and error, ``counts`` the rows not finite of the two teachers, over all rows, and the sweeps.
    """
    row = tl.arange(0, ROWS)
    column = tl.arange(0, GROUPS)[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
    is_row = row < num_rows
    is_class = column < num_classes
    is_inside = is_row[None, :, None] & is_class[:, None, :]

    good_student = is_finite(max_rows(mark_nan(load_tile(student, row, column, student_stride, is_inside))))
    good_noise = is_finite(max_rows(mark_nan(load_tile(noise, row, column, noise_stride, is_inside))))
    weight = mark_nan(load_tile(imbalance, row, column, imbalance_stride, is_inside))
    top = max_rows(weight)
    good_imbalance = is_finite(top)
    is_allowed = is_row & good_student & good_noise & good_imbalance
    if GIVEN_MARGINAL:
        marginal = tl.load(class_marginal + column, mask=is_class, other=0.0).to(tl.float32)
    else:
        weight = tl.where(is_allowed[None, :, None], weight, -INF)
        weight = tl.exp(weight - tl.where(good_imbalance, top, 0.0)[None, :, None])
        total = sum_rows(weight)
        marginal = tl.sum(weight * (1.0 / tl.where(total > 0.0, total, 1.0))[None, :, None], 1)
        # A marginal of zeros means that every sample is masked; there is then no row to give away.
        marginal = tl.where(is_class, tl.where(sum_classes(marginal) > 0.0, marginal, 1.0), 0.0)
    plan, _, error, sweeps, is_present = transport(
        student,
        noise,
        row,
        column,
        student_stride,
        noise_stride,
        is_inside,
        is_allowed,
        student_weight,
        marginal,
        tolerance,
        max_iterations,
        True,
        False,
        True,
    )

    is_own = (row >= own_start) & (row < own_stop)
    own_row = row - own_start
    own = is_inside & is_own[None, :, None]
    target = own_row[None, :, None] * num_classes + column[:, None, :]
    tl.store(labels + target, plan, mask=own)
    # As log_softmax does it: a row of the student that is not finite has a gradient that is not either.
    log_p = load_tile(student, row, column, student_stride, own)
    log_p = log_p - tl.where(good_student, max_rows(log_p), NAN)[None, :, None]
    log_p = log_p - tl.log(sum_rows(tl.exp(log_p)))[None, :, None]
    difference = plan * (tl.log(tl.where(plan > 0.0, plan, 1.0)) - log_p)
    tl.store(numbers, tl.sum(sum_rows(tl.where((plan > 0.0) & own, difference, 0.0)), 0) * scale)
    slope = (tl.exp(log_p) * is_present.to(tl.float32)[None, :, None] - plan) * scale
    tl.store(gradient + target, slope, mask=own)

    bad_noise = tl.where(is_row, tl.where(good_noise, 0, 1), 0)
    bad_imbalance = tl.where(is_row, tl.where(good_imbalance, 0, 1), 0)
    tl.store(is_nonfinite + 2 * own_row, bad_noise.to(tl.uint8), mask=is_own)
    tl.store(is_nonfinite + 2 * own_row + 1, bad_imbalance.to(tl.uint8), mask=is_own)
    tl.store(numbers + 1, error)
    tl.store(counts, tl.sum(bad_noise, 0).to(tl.int64))
    tl.store(counts + 1, tl.sum(bad_imbalance, 0).to(tl.int64))
    tl.store(counts + 2, sweeps.to(tl.int64))
