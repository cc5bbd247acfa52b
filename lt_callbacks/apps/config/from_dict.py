from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from omegaconf import OmegaConf

ConfigT = TypeVar("ConfigT")


def config_from_dict(schema: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """The objects of ``schema`` with ``values``, as ``dataclasses.asdict`` gave them; types are checked again."""
    merged = OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.create(dict(values)))
    config: Any = OmegaConf.to_object(merged)
    return config
