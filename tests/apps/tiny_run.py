"""Real runs of `lt-train` and `lt-distill`, made small: digits, two epochs, one seed, one thread."""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from lt_callbacks.apps.config.build import build_source
from lt_callbacks.apps.config.default_network import with_network_names
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.register import ALL_GROUPS, register_schemas
from lt_callbacks.apps.config.train_schemas import DataConfig, TrainConfig
from lt_callbacks.apps.config.typed import typed
from lt_callbacks.apps.distill import command as distill
from lt_callbacks.apps.distill.study import DistillStudy
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.train import command as train
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.data import Source

CHOICES = {*ALL_GROUPS, "callbacks", "logger", "experiment"}

SMALL = ("num_seeds=1", "threads=1", "trainer.max_epochs=2", "trainer.accelerator=cpu")
# A few steps of a student: enough for its labels to make a difference.
SMALL_DISTILL = (
    *SMALL,
    "data.batch_size=32",
    "distiller=random_real",
    "distiller.images_per_class=2",
    "views.num_views=2",
    "student.num_passes=12",
    "student.learning_rate=0.01",
    "student.batch_size=10",
    "oracle_taus=[0.5,1.0]",
)


def tiny_config(folder: Path, *overrides: str) -> TrainConfig:
    """What `lt-train` would run with, its files in ``folder``."""
    return _composed("train", folder, (*SMALL, *overrides))


def tiny_study(folder: Path, *overrides: str, progress: RunProgress | None = None) -> SeedStudy:
    """The methods of seed 0."""
    config = tiny_config(folder, *overrides)
    progress = RunProgress(total=0) if progress is None else progress
    source = _source(astuple(config.data))
    return SeedStudy(with_network_names(config, source), source, config.seed, progress)


def type_command(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Exit code of `lt-train` as typed, in this process; what it prints goes where pytest catches it."""
    return _typed_in(monkeypatch, "lt-train", train.main, folder, SMALL, arguments)


def tiny_distill_config(folder: Path, *overrides: str) -> DistillConfig:
    """What `lt-distill` would run with, its files in ``folder``."""
    return _composed("distill", folder, (*_unless_given(overrides), *overrides))


def tiny_distill_study(folder: Path, *overrides: str, progress: RunProgress | None = None) -> DistillStudy:
    """The rows of the first seed."""
    config = tiny_distill_config(folder, *overrides)
    progress = RunProgress(total=0) if progress is None else progress
    source = _source(astuple(config.data))
    return DistillStudy(with_network_names(config, source), source, config.seed, progress)


def type_distill(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """Exit code of `lt-distill` as typed; see `type_command`."""
    return _typed_in(monkeypatch, "lt-distill", distill.main, folder, _unless_given(arguments), arguments)


def _unless_given(overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Hydra takes a choice of a group once."""
    given = {override.partition("=")[0] for override in overrides}
    return tuple(each for each in SMALL_DISTILL if each.partition("=")[0] not in given)


def _composed(root: str, folder: Path, overrides: tuple[str, ...]) -> Any:
    """As Hydra would: choices of groups first, then single values. Composing takes long, so choices are kept."""
    places = (f"output={folder / 'run'}", f"store={folder / 'store'}")
    parsed = OverridesParser.create().parse_overrides([*places, *overrides])
    is_choice = [override.key_or_group in CHOICES for override in parsed]
    chosen = tuple(str(override.input_line) for override, is_one in zip(parsed, is_choice, strict=True) if is_one)
    config = copy.deepcopy(_chosen(root, chosen))
    for override, is_one in zip(parsed, is_choice, strict=True):
        if not is_one:
            is_new = override.is_add() or override.is_force_add()
            OmegaConf.update(config, override.key_or_group, override.value(), force_add=is_new)
    return typed(config)


@functools.cache
def _chosen(root: str, choices: tuple[str, ...]) -> DictConfig:
    register_schemas()
    with initialize_config_module("lt_callbacks.conf", version_base="1.3"):
        return compose(root, overrides=list(choices))


@functools.cache
def _source(data: tuple[Any, ...]) -> Source:
    return build_source(DataConfig(*data))


def _typed_in(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    main: Callable[[], None],
    folder: Path,
    small: tuple[str, ...],
    arguments: tuple[str, ...],
) -> int:
    places = (f"store={folder / 'store'}", f"hydra.run.dir={folder / 'run'}", f"hydra.sweep.dir={folder / 'sweep'}")
    # Hydra would put its own handlers in the place of pytest's.
    quiet = ("hydra/job_logging=none", "hydra/hydra_logging=none")
    monkeypatch.setattr(sys, "argv", [name, *arguments[:1], *places, *quiet, *small, *arguments[1:]])
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    try:
        main()
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def write_arrays(path: Path, *, num_images: int = 60, channels: int = 3) -> Path:
    """Random images of ten classes for ``data=arrays``, training and test alike."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_images, 8, 8, channels), dtype=np.uint8)
    labels = np.arange(num_images) % 10
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    return path


def write_image_files(folder: Path) -> Path:
    """Images of two classes for ``data=image_folder``, six of each for training and one for the test."""
    rng = np.random.default_rng(0)
    for part, num_images in (("train", 6), ("test", 1)):
        for name in ("cat", "dog"):
            place = folder / part / name
            place.mkdir(parents=True)
            for number in range(num_images):
                pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"{number}.png")
    return folder
