"""Teachers that are stored without a training: their weights are one number."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from lt_callbacks.teachers import TeacherStore

SETTINGS = {"objective": "elr", "max_epochs": 3}


class Trainer:
    """Fills a module with a number and counts how often it was asked to."""

    def __init__(self, value: float = 7.0) -> None:
        self.value, self.count = value, 0

    def __call__(self, module: nn.Module) -> None:
        self.count += 1
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(self.value)


def get(store: TeacherStore, train: Trainer, *, module: nn.Module | None = None, settings=SETTINGS, data="a" * 64):
    module = nn.Linear(2, 3) if module is None else module
    is_reused = store.get_or_train(module, settings=settings, fingerprint=data, train=train)
    return module, is_reused


def folder_of(store: TeacherStore) -> Path:
    (folder,) = (path for path in store.root.iterdir() if len(path.name) == 64)
    return folder
