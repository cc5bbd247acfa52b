"""Squeeze, recover, relabel, student: a data set condensed to a few images a class, and what learns from them."""

from lt_callbacks.dataset_distillation.distill_dataset import (
    DistilledDataset,
    distill_dataset,
    recover_images,
    train_student,
)
from lt_callbacks.dataset_distillation.distiller import Distiller
from lt_callbacks.dataset_distillation.edc import EDC
from lt_callbacks.dataset_distillation.ensemble import MeanLogits
from lt_callbacks.dataset_distillation.herding import Herding
from lt_callbacks.dataset_distillation.random_real import RandomReal
from lt_callbacks.dataset_distillation.real_images import RealImages
from lt_callbacks.dataset_distillation.registry import DISTILLERS, build_distiller
from lt_callbacks.dataset_distillation.sre2l import SRe2L
from lt_callbacks.dataset_distillation.student import Student, StudentBatch
from lt_callbacks.dataset_distillation.student_loss import StudentLoss
from lt_callbacks.dataset_distillation.view_loader import ViewLoader

__all__ = [
    "DISTILLERS",
    "EDC",
    "DistilledDataset",
    "Distiller",
    "Herding",
    "MeanLogits",
    "RandomReal",
    "RealImages",
    "SRe2L",
    "Student",
    "StudentBatch",
    "StudentLoss",
    "ViewLoader",
    "build_distiller",
    "distill_dataset",
    "recover_images",
    "train_student",
]
