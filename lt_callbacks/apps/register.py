from __future__ import annotations

from hydra.core.config_store import ConfigStore

from lt_callbacks.apps.distill_schemas import DISTILL_GROUPS, DistillConfig
from lt_callbacks.apps.schemas import GROUPS, TrainConfig

#: Every config group -> its schema.
ALL_GROUPS = {**GROUPS, **DISTILL_GROUPS}


def register_schemas() -> None:
    """Make the schemas known to Hydra under the names that the YAML files extend."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="distill_schema", node=DistillConfig)
    for group, schema in ALL_GROUPS.items():
        store.store(group=group, name="schema", node=schema)
