"""Logits and a class prior -> the strength of the logit adjustment -> calibrated logits (ADSA)."""

from lt_callbacks.adsa.calibrate import calibrate
from lt_callbacks.adsa.fit_tau import fit_tau
from lt_callbacks.adsa.tau_estimator import TauEstimator
from lt_callbacks.adsa.tau_fit import TauFit

__all__ = ["TauEstimator", "TauFit", "calibrate", "fit_tau"]
