"""Logits and a class prior -> the strength of the logit adjustment -> calibrated logits (ADSA)."""

from lt_callbacks.adsa.calibrate import calibrate
from lt_callbacks.adsa.estimator import TauEstimator, fit_tau
from lt_callbacks.adsa.tau_problem import TauFit

__all__ = ["TauEstimator", "TauFit", "calibrate", "fit_tau"]
