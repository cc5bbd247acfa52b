"""PyTorch Lightning plug-ins for learning from data that is long-tailed and wrongly labelled at once."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

#: Public name -> the room it lives in. Imported on first use, so that `import lt_callbacks` itself does no work.
_HOMES = {
    "ADSACallback": "lt_callbacks.plugins",
    "DSink": "lt_callbacks.plugins",
    "DSinkCallback": "lt_callbacks.plugins",
    "DSinkMixin": "lt_callbacks.plugins",
    "ExactResume": "lt_callbacks.plugins",
    "ProxyLabelMonitor": "lt_callbacks.plugins",
    "RankAgreement": "lt_callbacks.plugins",
    "ShotAccuracy": "lt_callbacks.metrics",
    "load_model": "lt_callbacks.trained_model",
    "train_teachers": "lt_callbacks.teachers",
}

__all__ = [
    "ADSACallback",
    "DSink",
    "DSinkCallback",
    "DSinkMixin",
    "ExactResume",
    "ProxyLabelMonitor",
    "RankAgreement",
    "ShotAccuracy",
    "load_model",
    "train_teachers",
]

if TYPE_CHECKING:
    from lt_callbacks.metrics import ShotAccuracy
    from lt_callbacks.plugins import (
        ADSACallback,
        DSink,
        DSinkCallback,
        DSinkMixin,
        ExactResume,
        ProxyLabelMonitor,
        RankAgreement,
    )
    from lt_callbacks.teachers import train_teachers
    from lt_callbacks.trained_model import load_model


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
