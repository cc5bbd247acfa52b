"""Logits and a class prior -> the strength of the logit adjustment -> calibrated logits (ADSA).

In the order of the data: `inputs` (prior and batches, checked), `nodes` (values of tau at which curves are known),
`class_moments` (a batch to sums by class), `class_curves` (sums to curves of the classes' confidence over tau),
`interval` (how well their minimum is known), `tau_problem` (all of it as a fit), `estimator` (the fit of tensors, and
of a stream of batches over ranks), `calibrate` (the strength applied to logits).
"""

from lt_callbacks.adsa.calibrate import calibrate
from lt_callbacks.adsa.estimator import TauEstimator, fit_tau
from lt_callbacks.adsa.tau_problem import TauFit

__all__ = ["TauEstimator", "TauFit", "calibrate", "fit_tau"]
