"""Frozen teachers, their cached predictions, and the store of trained ones."""

from lt_callbacks.teachers.cache_predictions import cache
from lt_callbacks.teachers.cached import CachedTeacher
from lt_callbacks.teachers.frozen import FrozenTeacher, ModuleTeacher
from lt_callbacks.teachers.store import TeacherStore
from lt_callbacks.teachers.train_teachers import train_teachers
from lt_callbacks.teachers.weights import load_checkpoint

__all__ = [
    "CachedTeacher",
    "FrozenTeacher",
    "ModuleTeacher",
    "TeacherStore",
    "cache",
    "load_checkpoint",
    "train_teachers",
]
