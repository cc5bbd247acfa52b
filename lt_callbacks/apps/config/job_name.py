from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from lt_callbacks.apps.config.file_contents import FILES
from lt_callbacks.apps.config.job_record import NOT_A_JOBS, job_hash

_LONGEST = 100


def job_name(*, _root_: DictConfig) -> str:
    """The name of a job's folder, the same for the same job: what the command line set, and a hash of all settings.

    An OmegaConf resolver, ``${lt_job_name:}``, for ``hydra.sweep.subdir``.
    """
    # As they were typed: one may refer to the folder that is named here.
    overrides: Any = OmegaConf.to_container(OmegaConf.select(_root_, "hydra.overrides.task"), resolve=False)
    # A sweep that one launcher began goes on with another.
    aside = (*NOT_A_JOBS, "launcher", "sweeper")
    told = sorted(_without_folders(each) for each in overrides if each.lstrip("+").partition("=")[0] not in aside)
    shown = re.sub(r"[^A-Za-z0-9.,=_+-]+", "_", ",".join(told))[:_LONGEST]
    # That folder is not known yet, and does not say what the job computes.
    root = _root_.copy()
    root.output = ""
    settings = {
        str(name): OmegaConf.to_container(root[name], resolve=True) if OmegaConf.is_config(root[name]) else root[name]
        for name in root
        if name != "hydra" and not OmegaConf.is_missing(root, name)
    }
    digits = job_hash(",".join(told), settings)[:8]
    return f"{shown}-{digits}" if shown else digits


def _without_folders(override: str) -> str:
    """An override that names a file, without where it lies: that changes nothing, and what is in it counts anyway."""
    name, equals, value = override.partition("=")
    return name + equals + Path(value.strip("'\"")).name if name.lstrip("+") in FILES else override
