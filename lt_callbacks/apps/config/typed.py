from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.apps.config.register import ALL_GROUPS


def typed(config: DictConfig) -> Any:
    """The composed config as the objects of its schema, `TrainConfig` or `DistillConfig`.

    Raises:
        ValueError: A setting that has no default was not given, refers to one that does not exist, or was added with
            ``+`` to a group that does not know it.
    """
    try:
        _refuse_unknown(config, "settings")
        missing = sorted(OmegaConf.missing_keys(config))
        settings: Any = None if missing else OmegaConf.to_object(config)
    except OmegaConfBaseException as error:
        why = str(error).partition("\n")[0]
        raise ArgumentValueError(
            str(error.full_key), rule="have a value", got=f"an error: {why}", way_out="Correct the config."
        ) from error
    if missing:
        raise ArgumentValueError(missing[0], rule="be given", got="nothing", way_out=f"Set {missing[0]}=...")
    return settings


def _refuse_unknown(node: DictConfig, name: str) -> None:
    """Hydra lets ``+key=value`` past the schema; nothing would read it."""
    schema = OmegaConf.get_type(node)
    if not is_dataclass(schema):
        return
    known = [field.name for field in fields(schema)]
    for key in node:
        one_of(name, key, known)
        if key in ALL_GROUPS:
            _refuse_unknown(node[key], f"settings of {key}")
