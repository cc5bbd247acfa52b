from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class SinkhornResult(NamedTuple):
    """The plan that a transport solver found, and how far it got; nothing in it carries a gradient.

    Attributes:
        plan: (N, C). Every row sums to 1, also before convergence. With a ``process_group``: this rank's rows.
        log_class_scaling: (C,). ``plan = softmax(log_kernel + log_class_scaling)``; ``-inf`` for empty columns.
        marginal_error: 0-d. Distance of the column sums of the returned plan (over all ranks) from the class marginal,
            in the unit of the criterion asked for.
        iterations: 0-d int64. Sweeps until the tolerance was met, or ``max_iterations``.
    """

    plan: Tensor
    log_class_scaling: Tensor
    marginal_error: Tensor
    iterations: Tensor
