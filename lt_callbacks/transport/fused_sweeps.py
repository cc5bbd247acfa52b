# Legend: N samples, C classes, L log kernel, b class marginal, c column sums, g log class scaling.
#
# A tile of (N, C) is held as [C / W, N, W], W = `WIDTH` neighbouring classes: a row then lies in few lanes of one warp,
# so that a row sum takes few shuffles, and the other classes lie in the same thread. Vectors over the classes are
# [C / W, W].
#
# The maximum of floating-point numbers drops NaN on some devices, so that NaN is turned into inf before every maximum
# that decides whether a row counts.
#
# Parameters in Triton have no types but Triton's.
# mypy: disable-error-code="no-untyped-def"
"""Device functions of the fused kernels: how a tile is loaded, summed, exponentiated and swept."""

from __future__ import annotations

import triton
import triton.language as tl

#: The kernel matrix is absorbed again once a log scaling has moved this far, in nats. Entries of a row that have
#: underflowed are then less than exp(-87 + 2 * 30) of its largest one.
MAX_MOVE = tl.constexpr(30.0)
TINY = tl.constexpr(1.1754943508222875e-38)
INF = tl.constexpr(float("inf"))


@triton.jit
def sum_rows(tile):
    """Sum of each row of a tile."""
    return tl.sum(tl.sum(tile, 0), 1)


@triton.jit
def max_rows(tile):
    """Largest entry of each row of a tile."""
    return tl.max(tl.max(tile, 0), 1)


@triton.jit
def sum_classes(vector):
    """Sum of a vector over the classes."""
    return tl.sum(tl.sum(vector, 1), 0)


@triton.jit
def max_classes(vector):
    """Largest entry of a vector over the classes."""
    return tl.max(tl.max(vector, 1), 0)


@triton.jit
def mark_nan(tile):
    """``tile`` with inf in place of NaN."""
    return tl.where(tile != tile, INF, tile)


@triton.jit
def is_finite(maximum):
    """Whether a maximum is neither infinity; NaN was turned into inf before it was taken."""
    return (maximum > -INF) & (maximum < INF)


@triton.jit
def load_tile(rows, row, column, stride, is_inside):
    """Rows of a matrix in float32, ``-inf`` outside of it."""
    return tl.load(rows + row[None, :, None] * stride + column[:, None, :], mask=is_inside, other=-INF).to(tl.float32)


@triton.jit
def load_log_kernel(
    first,
    second,
    row,
    column,
    first_stride,
    second_stride,
    is_inside,
    is_allowed,
    is_open,
    weight,
    PAIR: tl.constexpr,
):
    """L, -inf where a pair is forbidden and in absent rows; its row maxima, 0 there; and which rows are present.

    L is the first tensor, or ``weight`` * first + (1 - ``weight``) * second.
    """
    tile = load_tile(first, row, column, first_stride, is_inside)
    if PAIR:
        other = load_tile(second, row, column, second_stride, is_inside)
        # The two ends are spelled out because 0 * inf is not 0.
        tile = tl.where(weight == 0.0, 0.0, weight * tile) + tl.where(weight == 1.0, 0.0, (1.0 - weight) * other)
    tile = mark_nan(tl.where(is_open[:, None, :] & is_allowed[None, :, None], tile, -INF))
    top = max_rows(tile)
    is_present = is_finite(top)
    return tl.where(is_present[None, :, None], tile, -INF), tl.where(is_present, top, 0.0), is_present


@triton.jit
def exponentiate(tile, g, is_present):
    """exp(L + g), the largest entry of a row 1, and absent rows 0."""
    tile = tile + g[:, None, :]
    return tl.exp(tile - tl.where(is_present, max_rows(tile), 0.0)[None, :, None])


@triton.jit
def transport(
    first,
    second,
    row,
    column,
    first_stride,
    second_stride,
    is_inside,
    is_allowed,
    weight,
    marginal,
    tolerance,
    max_iterations,
    PAIR: tl.constexpr,
    RELATIVE: tl.constexpr,
    ACCELERATE: tl.constexpr,
):
    """The sweeps of log_domain.py: the plan, g (0 for closed classes), the error, the sweeps and the present rows."""
    is_open = marginal > 0.0
    tile, top, is_present = load_log_kernel(
        first, second, row, column, first_stride, second_stride, is_inside, is_allowed, is_open, weight, PAIR
    )
    mass = tl.sum(is_present.to(tl.float32), 0)
    # The first sweep sums columns in the log domain: a class whose every entry underflows still gets its mass.
    row_sum = sum_rows(tl.exp(tile - top[None, :, None]))
    tile = tile - (top + tl.log(tl.where(is_present, row_sum, 1.0)))[None, :, None]
    column_top = tl.max(tile, 1)
    is_reached = column_top > -INF
    column_top = tl.where(is_reached, column_top, 0.0)
    column_sum = tl.where(is_reached, tl.sum(tl.exp(tile - column_top[:, None, :]), 1), 1.0)
    # From here on b > 0 says which classes are open.
    # Only proportions count: by the greatest first, so that a sum of any scale is a normal number.
    greatest = max_classes(marginal)
    share = marginal / tl.where(greatest > 0.0, greatest, 1.0)
    b = tl.where(is_open, tl.maximum(share * (mass / tl.maximum(sum_classes(share), TINY)), TINY), 0.0)
    g = tl.where(is_open & is_reached, tl.log(tl.maximum(b, TINY)) - column_top - tl.log(column_sum), 0.0)
    # Where no row is present there is nothing to be wrong about.
    unit = tl.where(mass > 0.0, 1.0 if RELATIVE else 1.0 / tl.maximum(mass, 1.0), 0.0)

    # The point looked at is g + move, the end of the step before it g + last: both moves are small, and rounding too.
    move = tl.zeros_like(b)
    last = tl.zeros_like(b)
    age = 1.0
    iterations = 1
    error = INF
    is_over = 0
    tile = exponentiate(tile, g, is_present)
    while is_over == 0:
        is_near = 1
        while (is_near == 1) & (is_over == 0):
            scaling = tl.exp(move)
            row_sum = sum_rows(tile * scaling[:, None, :])
            # Where a row is absent there is nothing to scale.
            row_scaling = 1.0 / tl.where(row_sum > 0.0, row_sum, 1.0)
            c = tl.sum(tile * row_scaling[None, :, None], 1) * scaling
            deviation = b - c
            if RELATIVE:
                error = max_classes(tl.where(b > 0.0, tl.abs(deviation) / tl.maximum(b, TINY), 0.0)) * unit
            else:
                error = sum_classes(tl.abs(deviation)) * unit
            is_over = ((error <= tolerance) | (iterations >= max_iterations)).to(tl.int32)
            if is_over == 0:
                step = tl.where(b > 0.0, tl.log(tl.maximum(b, TINY)) - tl.log(tl.maximum(c, TINY)), 0.0)
                end = move + step
                if ACCELERATE:
                    # Momentum is dropped when it points against the gradient of the semi-dual.
                    way = end - last
                    age = tl.where(sum_classes(deviation * way) < 0.0, 1.0, age + 1.0)
                    move = end + (age - 1.0) / (age + 2.0) * way
                else:
                    move = end
                last = end
                iterations += 1
                is_near = (max_classes(tl.abs(move)) < MAX_MOVE).to(tl.int32)
        if is_over == 0:
            reached = g + move
            taken = reached - g
            move -= taken
            last -= taken
            g = reached
            tile, _, is_present = load_log_kernel(
                first, second, row, column, first_stride, second_stride, is_inside, is_allowed, b > 0.0, weight, PAIR
            )
            tile = exponentiate(tile, g, is_present)
    scaling = tl.exp(move)
    row_sum = sum_rows(tile * scaling[:, None, :])
    is_present = row_sum > 0.0
    plan = tile * scaling[:, None, :] * (1.0 / tl.where(is_present, row_sum, 1.0))[None, :, None]
    return plan, g + move, error, iterations, is_present
