from __future__ import annotations

import functools
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from lt_callbacks.apps.config.distill_schemas import DISTILL_GROUPS, DistillConfig
from lt_callbacks.apps.config.job_name import job_name
from lt_callbacks.apps.config.train_schemas import GROUPS, TrainConfig

#: Every config group -> its schema.
ALL_GROUPS = {**GROUPS, **DISTILL_GROUPS}


def _shared_store(memo: Any) -> Any:
    return ConfigStore.instance()


@functools.cache
def register_schemas() -> None:
    """Make the schemas known to Hydra under the names that the YAML files extend; once in a process is enough."""
    # Here, since what names the folders of a sweep's jobs must be known wherever a launcher runs them.
    OmegaConf.register_new_resolver("lt_job_name", job_name, replace=True)
    store: Any = ConfigStore.instance()
    # For its help Hydra asks 150 times which choices there are, and copies the store each time: most of two seconds.
    # Nothing changes what the store holds, and what it gives out it copies by itself.
    store.__deepcopy__ = _shared_store
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="distill_schema", node=DistillConfig)
    for group, schema in ALL_GROUPS.items():
        store.store(group=group, name="schema", node=schema)
