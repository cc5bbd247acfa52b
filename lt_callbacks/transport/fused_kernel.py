# Legend: N samples, C classes, L log kernel, b class marginal, c column sums, g log class scaling.
#
# A tile of (N, C) is held as [C / W, N, W], W = `WIDTH` neighbouring classes: a row then lies in few lanes of one warp,
# so that a row sum takes few shuffles, and the other classes lie in the same thread. Vectors over the classes are
# [C / W, W].
#
# The maximum of floating-point numbers drops NaN on some devices, so that NaN is turned into inf before every maximum
# that decides whether a row counts.
#
# A kernel's parameters have no types but Triton's.
# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import triton
import triton.language as tl

#: The kernel matrix is absorbed again once a log scaling has moved this far, in nats. Entries of a row that have
#: underflowed are then less than exp(-87 + 2 * 30) of its largest one.
MAX_MOVE = tl.constexpr(30.0)
TINY = tl.constexpr(1.1754943508222875e-38)
INF = tl.constexpr(float("inf"))
NAN = tl.constexpr(float("nan"))


@triton.jit
def _row_sum(tile):
    return tl.sum(tl.sum(tile, 0), 1)


@triton.jit
def _row_max(tile):
    return tl.max(tl.max(tile, 0), 1)


@triton.jit
def _total(vector):
    return tl.sum(tl.sum(vector, 1), 0)


@triton.jit
def _largest(vector):
    return tl.max(tl.max(vector, 1), 0)


@triton.jit
def _marked(tile):
    """``tile`` with inf in place of NaN."""
    return tl.where(tile != tile, INF, tile)


@triton.jit
def _is_finite(maximum):
    return (maximum > -INF) & (maximum < INF)


@triton.jit
def _load(rows, row, column, stride, is_inside):
    return tl.load(rows + row[None, :, None] * stride + column[:, None, :], mask=is_inside, other=-INF).to(tl.float32)


@triton.jit
def _log_kernel(
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
    tile = _load(first, row, column, first_stride, is_inside)
    if PAIR:
        other = _load(second, row, column, second_stride, is_inside)
        # The two ends are spelled out because 0 * inf is not 0.
        tile = tl.where(weight == 0.0, 0.0, weight * tile) + tl.where(weight == 1.0, 0.0, (1.0 - weight) * other)
    tile = _marked(tl.where(is_open[:, None, :] & is_allowed[None, :, None], tile, -INF))
    top = _row_max(tile)
    is_present = _is_finite(top)
    return tl.where(is_present[None, :, None], tile, -INF), tl.where(is_present, top, 0.0), is_present


@triton.jit
def _absorbed(tile, g, is_present):
    """exp(L + g), the largest entry of a row 1, and absent rows 0."""
    tile = tile + g[:, None, :]
    return tl.exp(tile - tl.where(is_present, _row_max(tile), 0.0)[None, :, None])


@triton.jit
def _transport(
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
    """The sweeps of sweeps.py: the plan, g (0 for closed classes), the error, the sweeps and the present rows."""
    is_open = marginal > 0.0
    tile, top, is_present = _log_kernel(
        first, second, row, column, first_stride, second_stride, is_inside, is_allowed, is_open, weight, PAIR
    )
    mass = tl.sum(is_present.to(tl.float32), 0)
    # The first sweep sums columns in the log domain: a class whose every entry underflows still gets its mass.
    row_sum = _row_sum(tl.exp(tile - top[None, :, None]))
    tile = tile - (top + tl.log(tl.where(is_present, row_sum, 1.0)))[None, :, None]
    column_top = tl.max(tile, 1)
    is_reached = column_top > -INF
    column_top = tl.where(is_reached, column_top, 0.0)
    column_sum = tl.where(is_reached, tl.sum(tl.exp(tile - column_top[:, None, :]), 1), 1.0)
    # From here on b > 0 says which classes are open.
    b = tl.where(is_open, tl.maximum(marginal * (mass / tl.maximum(_total(marginal), TINY)), TINY), 0.0)
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
    tile = _absorbed(tile, g, is_present)
    while is_over == 0:
        is_near = 1
        while (is_near == 1) & (is_over == 0):
            scaling = tl.exp(move)
            row_sum = _row_sum(tile * scaling[:, None, :])
            # Where a row is absent there is nothing to scale.
            row_scaling = 1.0 / tl.where(row_sum > 0.0, row_sum, 1.0)
            c = tl.sum(tile * row_scaling[None, :, None], 1) * scaling
            deviation = b - c
            if RELATIVE:
                error = _largest(tl.where(b > 0.0, tl.abs(deviation) / tl.maximum(b, TINY), 0.0)) * unit
            else:
                error = _total(tl.abs(deviation)) * unit
            is_over = ((error <= tolerance) | (iterations >= max_iterations)).to(tl.int32)
            if is_over == 0:
                step = tl.where(b > 0.0, tl.log(tl.maximum(b, TINY)) - tl.log(tl.maximum(c, TINY)), 0.0)
                end = move + step
                if ACCELERATE:
                    # Momentum is dropped when it points against the gradient of the semi-dual.
                    way = end - last
                    age = tl.where(_total(deviation * way) < 0.0, 1.0, age + 1.0)
                    move = end + (age - 1.0) / (age + 2.0) * way
                else:
                    move = end
                last = end
                iterations += 1
                is_near = (_largest(tl.abs(move)) < MAX_MOVE).to(tl.int32)
        if is_over == 0:
            reached = g + move
            taken = reached - g
            move -= taken
            last -= taken
            g = reached
            tile, _, is_present = _log_kernel(
                first, second, row, column, first_stride, second_stride, is_inside, is_allowed, b > 0.0, weight, PAIR
            )
            tile = _absorbed(tile, g, is_present)
    scaling = tl.exp(move)
    row_sum = _row_sum(tile * scaling[:, None, :])
    is_present = row_sum > 0.0
    plan = tile * scaling[:, None, :] * (1.0 / tl.where(is_present, row_sum, 1.0))[None, :, None]
    return plan, g + move, error, iterations, is_present


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
    found, g, error, sweeps, _ = _transport(
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

    good_student = _is_finite(_row_max(_marked(_load(student, row, column, student_stride, is_inside))))
    good_noise = _is_finite(_row_max(_marked(_load(noise, row, column, noise_stride, is_inside))))
    weight = _marked(_load(imbalance, row, column, imbalance_stride, is_inside))
    top = _row_max(weight)
    good_imbalance = _is_finite(top)
    is_allowed = is_row & good_student & good_noise & good_imbalance
    if GIVEN_MARGINAL:
        marginal = tl.load(class_marginal + column, mask=is_class, other=0.0).to(tl.float32)
    else:
        weight = tl.where(is_allowed[None, :, None], weight, -INF)
        weight = tl.exp(weight - tl.where(good_imbalance, top, 0.0)[None, :, None])
        total = _row_sum(weight)
        marginal = tl.sum(weight * (1.0 / tl.where(total > 0.0, total, 1.0))[None, :, None], 1)
        # A marginal of zeros means that every sample is masked; there is then no row to give away.
        marginal = tl.where(is_class, tl.where(_total(marginal) > 0.0, marginal, 1.0), 0.0)
    plan, _, error, sweeps, is_present = _transport(
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
    log_p = _load(student, row, column, student_stride, own)
    log_p = log_p - tl.where(good_student, _row_max(log_p), NAN)[None, :, None]
    log_p = log_p - tl.log(_row_sum(tl.exp(log_p)))[None, :, None]
    difference = plan * (tl.log(tl.where(plan > 0.0, plan, 1.0)) - log_p)
    tl.store(numbers, tl.sum(_row_sum(tl.where((plan > 0.0) & own, difference, 0.0)), 0) * scale)
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
