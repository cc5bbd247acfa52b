"""What a result document says about how it was made, without the folders of the machine that made it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.file_contents import LABEL_FILES, with_contents
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.data import OWN_DATA, LongTailedDataModule, source_sha256

#: Settings that say where, how often and how loudly a run works, not what it computes.
NOT_RESULTS: tuple[str, ...] = (
    *("output", "store", "results", "num_seeds", "seed", "methods", "threads", "logger", "callbacks", "setting"),
    *("ckpt_path", "save_networks", "model_row", "checkpoint_every_seconds", "checkpoint_every_n_steps"),
)

# Settings that were added later: at their defaults they are left out, so that older documents can be continued.
_ADDED: dict[str, dict[str, Any]] = {
    "": {"teachers": "live", "cached_views": 0},
    "data": {"sampling": "shuffled", "labels_are_true": None},
    "model": {"compile": False},
    "trainer": {"num_nodes": 1, "strategy": "auto"},
}

# Settings of the command line that only this machine or this run's folder is about.
_LOCAL = ("hydra", "output", "store", "threads")


def result_settings(config: TrainConfig | DistillConfig, datamodule: LongTailedDataModule) -> dict[str, Any]:
    """The settings that all results of a document have in common.

    Of an absolute path only the last part is kept, so that a document can be continued on another machine. A manifest
    counts by its content, and what it replaces does not count. So do files of given labels or of transitions, and
    images and labels of one's own, which may change under the same name; those of a benchmark do not.
    """
    held = with_contents(asdict(config), names=LABEL_FILES)
    settings = {name: _portable(value) for name, value in held.items() if name not in NOT_RESULTS}
    for group, defaults in _ADDED.items():
        held = settings[group] if group else settings
        for name, default in defaults.items():
            if name in held and held[name] == default:
                del held[name]
    if config.data.name in OWN_DATA:
        settings["data"]["content_sha256"] = source_sha256(datamodule.source)
    if config.manifest is not None:
        settings.update(manifest=datamodule.manifest.sha256, imbalance=None, noise=None)
    return settings


def command_line(*, name: str | None = None, arguments: list[str] | None = None) -> str:
    """The command as somebody else would type it: without what only this machine is about.

    Args:
        name: Of the command; None: this process's.
        arguments: What was typed after the name; None: this process's arguments.
    """
    given = sys.argv[1:] if arguments is None else arguments
    kept = [argument for argument in given if argument.lstrip("+").split(".")[0].split("=")[0] not in _LOCAL]
    shown = PurePosixPath(sys.argv[0]).name if name is None else name
    return " ".join([shown, *(_portable_override(argument) for argument in kept)])


def _portable_override(argument: str) -> str:
    name, equals, value = argument.rpartition("=")
    return name + equals + ",".join(_portable(part) for part in value.split(","))


def _portable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _portable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_portable(inner) for inner in value]
    if isinstance(value, str) and _is_absolute(value):
        return f".../{PureWindowsPath(value).name}"
    return value


def _is_absolute(text: str) -> bool:
    return text.startswith("~") or PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
