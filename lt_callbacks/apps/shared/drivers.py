from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed as dist
from lightning.pytorch import Trainer

from lt_callbacks._errors import StateError
from lt_callbacks.apps.shared.launcher_variables import clean_environment

#: Waiting for another job's teacher may take as long as its training.
_PATIENCE = timedelta(days=30)


class Drivers:
    """The processes of one command: one, or one for each node or rank that a cluster's launcher started.

    A driver trains nothing itself: it starts the processes of each training, so that a training has a process group of
    its own and none exists while a driver waits for another job. With several drivers, the first decides and scores;
    the others start their ranks of each training when it says so.

    Args:
        trainer: Knows, from the settings and the launcher's variables, which rank of how many this process is.

    Attributes:
        is_parallel: Whether trainings have several ranks.
        rank: Of this driver.
        size: How many drivers there are.
    """

    def __init__(self, trainer: Trainer) -> None:
        environment = getattr(trainer.strategy, "cluster_environment", None)
        is_parallel = trainer.num_devices * trainer.num_nodes > 1
        if is_parallel and environment is not None:
            environment.validate_settings(num_devices=trainer.num_devices, num_nodes=trainer.num_nodes)
        self.is_parallel = is_parallel
        self.is_external = bool(is_parallel and environment is not None and environment.creates_processes_externally)
        self.rank, self.size = (0, 1)
        if self.is_external:
            self.rank, self.size = trainer.global_rank, trainer.world_size
        elif is_parallel:
            self.rank, self.size = trainer.node_rank, trainer.num_nodes
        self._num_phases = 0
        self._store: Any = None
        self._host = "127.0.0.1"
        if self.size > 1:
            self._host = environment.main_address  # type: ignore[union-attr]
            self._store = _store(self._host, environment.main_port, self.rank, self.size)  # type: ignore[union-attr]

    @property
    def is_first(self) -> bool:
        """Whether this driver decides what is trained, and scores it."""
        return self.rank == 0

    def announce(self, phase: Mapping[str, Any]) -> dict[str, str]:
        """Have all other drivers start ``phase``; the environment of this, the first driver's processes of it."""
        port = _free_port() if self.size > 1 else None
        self._tell({**phase, "port": port})
        return self.variables(port)

    @contextmanager
    def leading(self) -> Iterator[None]:
        """A block in which the first driver decides; the others end with it, and hear of its error."""
        try:
            yield
        except BaseException as error:
            self._tell({"end": True, "error": f"{type(error).__name__}: {error}"})
            raise
        self._tell({"end": True, "error": None})

    def next_phase(self) -> dict[str, Any] | None:
        """What the first driver announces next, once it does; None when it has ended.

        Raises:
            RuntimeError: The first driver failed.
        """
        name = f"phase{self._num_phases}"
        self._num_phases += 1
        self._store.wait([name], _PATIENCE)
        phase: dict[str, Any] = json.loads(self._store.get(name))
        if phase.get("end"):
            if phase["error"] is not None:
                raise StateError(f"The first process of this command failed: {phase['error']}")
            return None
        return phase

    def variables(self, port: int | None) -> dict[str, str]:
        """The environment of this driver's processes of a phase, which meet at a port of their own."""
        if port is None:
            return clean_environment()
        changed = {"MASTER_PORT": str(port), "MASTER_ADDR": self._host}
        # torchrun's own store has the keys of its first group in it.
        agent = {"TORCHELASTIC_USE_AGENT_STORE": "False"} if "TORCHELASTIC_USE_AGENT_STORE" in os.environ else {}
        return {**os.environ, **changed, **agent}

    def _tell(self, message: Mapping[str, Any]) -> None:
        if self._store is not None:
            self._store.set(f"phase{self._num_phases}", json.dumps(message))
            self._num_phases += 1


def _store(host: str, port: int, rank: int, size: int) -> Any:
    is_agents = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = dist.TCPStore(
        host, port, None if is_agents else size, is_master=rank == 0 and not is_agents, timeout=_PATIENCE
    )
    attempt = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}.{os.environ.get('SLURM_RESTART_COUNT', 0)}"
    return dist.PrefixStore(f"lt_callbacks/{attempt}", store)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
