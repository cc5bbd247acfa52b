from __future__ import annotations

import re

from omegaconf import DictConfig, OmegaConf

from lt_callbacks.apps.job_record import NOT_A_JOBS, job_hash

_LONGEST = 100


def job_name(*, _root_: DictConfig) -> str:
    """Name of a job's folder: what the command set, and some digits of all settings; the same for the same job.

    An OmegaConf resolver, ``${lt_job_name:}``, for ``hydra.sweep.subdir``.
    """
    overrides = list(OmegaConf.select(_root_, "hydra.overrides.task"))
    # A sweep that one launcher began goes on with another.
    aside = (*NOT_A_JOBS, "launcher", "sweeper")
    told = [override for override in overrides if override.lstrip("+").partition("=")[0] not in aside]
    shown = re.sub(r"[^A-Za-z0-9.,=_+-]+", "_", ",".join(told))[:_LONGEST]
    settings = {
        str(name): OmegaConf.to_container(_root_[name], resolve=True)
        if OmegaConf.is_config(_root_[name])
        else _root_[name]
        for name in _root_
        if name not in ("hydra", "output") and not OmegaConf.is_missing(_root_, name)
    }
    digits = job_hash(",".join(sorted(told)), settings)[:8]
    return f"{shown}-{digits}" if shown else digits
