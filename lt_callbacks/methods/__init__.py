"""LightningModules: the plain classifier."""

from lt_callbacks.methods.classifier import Classifier, ClassifierNetwork
from lt_callbacks.methods.optimisation import Optimisation

__all__ = ["Classifier", "ClassifierNetwork", "Optimisation"]
