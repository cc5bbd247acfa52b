"""What one network minimises on noisy or long-tailed labels, one objective a file."""

from lt_callbacks.objectives.balanced_softmax import BalancedSoftmax
from lt_callbacks.objectives.base import Objective
from lt_callbacks.objectives.cross_entropy import CrossEntropy
from lt_callbacks.objectives.elr import EarlyLearningRegularization
from lt_callbacks.objectives.gce import GeneralizedCrossEntropy
from lt_callbacks.objectives.ldam_drw import LDAM
from lt_callbacks.objectives.logit_adjustment import LogitAdjustment
from lt_callbacks.objectives.registry import OBJECTIVES, build_objective
from lt_callbacks.objectives.sce import SymmetricCrossEntropy

__all__ = [
    "LDAM",
    "OBJECTIVES",
    "BalancedSoftmax",
    "CrossEntropy",
    "EarlyLearningRegularization",
    "GeneralizedCrossEntropy",
    "LogitAdjustment",
    "Objective",
    "SymmetricCrossEntropy",
    "build_objective",
]
