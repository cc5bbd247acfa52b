"""Accuracy by how many training samples a class has."""

from lt_callbacks.metrics.class_groups import class_groups
from lt_callbacks.metrics.shot_accuracy import ShotAccuracy

__all__ = ["ShotAccuracy", "class_groups"]
