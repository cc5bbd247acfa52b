"""Real runs of `lt-train`, made small: digits, two epochs, one seed, one thread."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module

from lt_callbacks.apps.build import build_source
from lt_callbacks.apps.check import typed
from lt_callbacks.apps.progress import RunProgress
from lt_callbacks.apps.register import register_schemas
from lt_callbacks.apps.schemas import TrainConfig
from lt_callbacks.apps.study import SeedStudy
from lt_callbacks.apps.train import main

SMALL = ("num_seeds=1", "threads=1", "trainer.max_epochs=2", "trainer.accelerator=cpu")


def tiny_config(folder: Path, *overrides: str) -> TrainConfig:
    """What `lt-train` would run with, its files in ``folder``."""
    register_schemas()
    places = (f"output={folder / 'run'}", f"store={folder / 'store'}")
    with initialize_config_module("lt_callbacks.conf", version_base="1.3"):
        return typed(compose("train", overrides=[*places, *SMALL, *overrides]))


def tiny_study(folder: Path, *overrides: str, progress: RunProgress | None = None) -> SeedStudy:
    """The methods of seed 0."""
    config = tiny_config(folder, *overrides)
    progress = RunProgress(total=0) if progress is None else progress
    return SeedStudy(config, build_source(config.data), config.seed, progress)


def type_command(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Exit code of `lt-train` as typed, in this process; what it prints goes where pytest catches it."""
    places = (f"store={folder / 'store'}", f"hydra.run.dir={folder / 'run'}", f"hydra.sweep.dir={folder / 'sweep'}")
    # Hydra would put its own handlers in the place of pytest's.
    quiet = ("hydra/job_logging=none", "hydra/hydra_logging=none")
    monkeypatch.setattr(sys, "argv", ["lt-train", *arguments[:1], *places, *quiet, *SMALL, *arguments[1:]])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    try:
        main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0
