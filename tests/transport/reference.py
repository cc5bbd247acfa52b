"""The float64 reference: L-BFGS on the convex semi-dual in the log domain, polished by plain sweeps; shares no code."""

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor


def reference_plan(log_kernel: Tensor, class_marginal: Tensor) -> Tensor:
    kernel, b = log_kernel.double(), class_marginal.double()
    b = b * (len(kernel) / b.sum())

    def dual(g: np.ndarray) -> tuple[float, np.ndarray]:
        shifted = kernel + torch.from_numpy(g)
        value = torch.logsumexp(shifted, 1).sum() - b @ torch.from_numpy(g)
        return float(value), (torch.softmax(shifted, 1).sum(0) - b).numpy()

    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0.0, "gtol": 1e-10 * len(kernel), "maxcor": 30}
    g = torch.from_numpy(minimize(dual, np.zeros(len(b)), jac=True, method="L-BFGS-B", options=options).x)
    for _ in range(20):
        f = -torch.logsumexp(kernel + g, 1)
        g = b.log() - torch.logsumexp(kernel + f[:, None], 0)
    plan = torch.softmax(kernel + g, 1)
    if float((plan.sum(0) - b).abs().sum()) / len(kernel) > 1e-7:
        raise AssertionError("the reference itself has not converged")
    return plan


def problem(num_rows: int, num_classes: int, scale: float, *, seed: int = 0, factor: float = 100.0):
    """A batch as in training: labels from a long tail, a noisy teacher that disagrees with the class marginal."""
    generator = torch.Generator().manual_seed(seed)

    def noise() -> Tensor:
        return torch.randn(num_rows, num_classes, generator=generator, dtype=torch.float64)

    prior = torch.logspace(0, -1, num_classes, base=factor, dtype=torch.float64)
    true_label = torch.multinomial(prior, num_rows, replacement=True, generator=generator)
    is_wrong = torch.rand(num_rows, generator=generator) < 0.3
    other = torch.randint(0, num_classes, (num_rows,), generator=generator)
    noise_logits = scale * (noise() + 3 * torch.eye(num_classes)[torch.where(is_wrong, other, true_label)])
    student_logits = 0.5 * scale * (noise() + 3 * torch.eye(num_classes)[true_label])
    imbalance_logits = 0.5 * scale * (noise() + 3 * torch.eye(num_classes)[true_label])
    log_kernel = 0.5 * (noise_logits.log_softmax(1) + student_logits.log_softmax(1))
    return log_kernel, imbalance_logits.softmax(1).sum(0)
