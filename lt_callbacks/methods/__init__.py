"""LightningModules: the plain classifier."""

from lt_callbacks.methods.classifier import Classifier
from lt_callbacks.methods.optimisation import Optimisation

__all__ = ["Classifier", "Optimisation"]
