"""Frozen teachers and the store of trained ones."""

from lt_callbacks.teachers.frozen import CachedTeacher, FrozenTeacher, ModuleTeacher
from lt_callbacks.teachers.store import TeacherStore
from lt_callbacks.teachers.train import train_teachers
from lt_callbacks.teachers.weights import load_checkpoint

__all__ = [
    "CachedTeacher",
    "FrozenTeacher",
    "ModuleTeacher",
    "TeacherStore",
    "load_checkpoint",
    "train_teachers",
]
