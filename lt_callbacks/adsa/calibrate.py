# Legend: C classes.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks._tensors import can_be_read, check_floating
from lt_callbacks.adsa.inputs import centred_log_prior, normalised_prior


def calibrate(logits: Tensor, class_prior: Any, tau: float | Tensor, *, target_prior: Any = None) -> Tensor:
    """Logits without the share ``tau`` of the class prior that they were trained under.

    z - tau * (log pi - mean log pi), and with ``target_prior`` + (log pi_t - mean log pi_t). Centring keeps the mean
    logit of every image, so that students that regress logits are not moved. Divide by a temperature afterwards.

    Args:
        logits: (..., C) float, classes last. The labels of an ensemble come from the mean of its members' logits.
        class_prior: (C,) counts or frequencies of the training labels, finite and > 0; normalised here. On the CPU,
            where it is read without waiting for a device.
        tau: Strength; 0 changes nothing, 1 removes the prior of a Bayes classifier. A number or a 0-d real tensor,
            finite; so large that the prior's share overflows it is refused. A tensor on a GPU is not looked at.
        target_prior: (C,) prior that the labels are wanted under; None for the uniform one.

    Returns:
        (..., C) on the device of ``logits``; their dtype, or float32 where it is narrower. Differentiable with respect
        to ``logits``, and to ``tau`` where that is a tensor.

    Raises:
        TypeError: ``logits`` are not a floating tensor, or ``tau`` is not a real number.
        ValueError: Shapes disagree, a prior is not finite and > 0, or ``tau`` is not finite or far too large.

    Reference: ADSA (arXiv 2511.17914), section 4, after logit adjustment (Menon et al., ICLR 2021, arXiv 2007.07314).

    Example:
        >>> calibrate(torch.zeros(1, 2), [90, 10], 1.0).softmax(dim=1)
        tensor([[0.1000, 0.9000]])
    """
    check_floating("logits", logits, way_out="Pass the outputs before the softmax.")
    prior = normalised_prior(class_prior)
    _check_classes("class_prior", prior, logits)
    wide = logits if logits.dtype == torch.float64 else logits.float()
    log_prior = centred_log_prior(prior)
    strength = _checked_tau(tau, log_prior, wide)
    calibrated = wide - strength * log_prior.to(wide)
    if target_prior is not None:
        target = normalised_prior(target_prior, name="target_prior")
        _check_classes("target_prior", target, logits)
        calibrated = calibrated + centred_log_prior(target).to(wide)
    return calibrated


def _checked_tau(tau: Any, log_prior: Tensor, logits: Tensor) -> float | Tensor:
    """The strength as a number, or as a 0-d tensor on the device and in the dtype of the logits."""
    if isinstance(tau, Tensor):
        if tau.ndim != 0:
            raise ArgumentValueError(
                "tau", rule="be a number or a 0-d tensor", got=f"shape {tuple(tau.shape)}", way_out="Pass one strength."
            )
        if tau.is_complex() or tau.dtype == torch.bool:
            raise ArgumentTypeError("tau", rule="be real", got=str(tau.dtype), way_out="Pass one strength.")
        strength: float | Tensor = tau.to(logits)
        if not can_be_read(tau):
            return strength
        value = real("tau", tau.item())
    else:
        value = strength = real("tau", tau)
    greatest = float(log_prior.abs().max())
    # Half the range is left to the logits.
    limit = torch.finfo(logits.dtype).max / 2
    if max(greatest, 1.0) * abs(value) > limit:
        raise ArgumentValueError(
            "tau",
            rule=f"be so small that it changes logits by less than {limit:.3g}",
            got=f"{value!r} with a log prior of up to {greatest:.3g}",
            way_out="Strengths lie near 1.",
        )
    return strength


def _check_classes(name: str, prior: Tensor, logits: Tensor) -> None:
    if logits.ndim == 0 or logits.shape[-1] != len(prior):
        raise ArgumentValueError(
            name,
            rule="have one entry a class",
            got=f"{len(prior)} for logits of shape {tuple(logits.shape)}",
            way_out="Logits hold the classes last.",
        )
