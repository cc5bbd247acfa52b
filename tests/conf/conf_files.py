"""The files of `conf/`, and how a command composes them."""

from __future__ import annotations

import copy
import functools
import re
from pathlib import Path

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from lt_callbacks.apps.config.register import register_schemas
from lt_callbacks.apps.distill.checks import check_distill_settings
from lt_callbacks.apps.train.checks import check_settings

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.glob("*/*.yaml"))

# Dropped into another project's callbacks, see test_other_project.py; `lt-train` attaches D-SINK by itself, and
# `lt-distill` does what ADSA's callback does.
FOR_OTHER_PROJECTS = ["callbacks/adsa", "callbacks/dsink"]

ROOTS = ("train", "distill")
CHECKS = {"train": check_settings, "distill": check_distill_settings}


def composed(*overrides, root="train"):
    return copy.deepcopy(_composed(overrides, root))


@functools.cache
def _composed(overrides, root):
    """Composing takes long, and several tests look at one file."""
    register_schemas()
    with initialize_config_module("lt_callbacks.conf", version_base="1.3"):
        return compose(root, overrides=["output=out", *overrides])


def groups_of(root):
    """Groups that a command chooses from."""
    defaults = OmegaConf.load(CONF / f"{root}.yaml").defaults
    return {next(iter(entry)) for entry in defaults if not isinstance(entry, str)}


def roots_of(file):
    """Commands that a file is for. An experiment says in its second line which command runs it."""
    group = file.partition("/")[0]
    if group == "experiment":
        (command,) = re.findall(
            r"^# lt-(\w+) (?:-m )?experiment=", (CONF / f"{file}.yaml").read_text(), flags=re.MULTILINE
        )
        return [command]
    return [root for root in ROOTS if group in groups_of(root)]


def choice(file, files):
    """Overrides that choose a file and fill in what it leaves open."""
    group, _, name = file.partition("/")
    marked = re.findall(r'^(\w+): (?:\?\?\?|"")$', (CONF / f"{file}.yaml").read_text(), flags=re.MULTILINE)
    asked = [f"{group}.{setting}" for setting in marked]
    return [f"{group}={name}", *(f"{setting}={files.get(setting, '/somewhere')}" for setting in asked)]


def settings_of(file):
    """What a file itself says, without what it extends."""
    return OmegaConf.to_container(OmegaConf.load(CONF / f"{file}.yaml"))


EXPERIMENTS = [file for file in FILES if file.startswith("experiment/")]
