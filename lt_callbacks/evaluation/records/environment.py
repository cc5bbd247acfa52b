"""Where a number was measured: what a result document says about machine and software. No host names, no paths."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("torch", "lightning", "torchvision", "numpy")


def hardware() -> dict[str, Any]:
    """The machine: processor model, cores this process may use, operating system, names of the visible GPUs."""
    return {"cpu": _cpu(), "num_cores": _num_cores(), "system": platform.system(), "gpus": _gpus()}


def versions() -> dict[str, str | None]:
    """Version of Python and of the packages that decide numbers; ``None`` for one that is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def _cpu() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text(errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "unknown"


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(position) for position in range(torch.cuda.device_count())]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
