from __future__ import annotations

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from lt_callbacks._writable import check_folder
from lt_callbacks.apps.config.errors import ending_with_message


class RunFolder(Callback):
    """Hydra's callback of the commands: refuses a folder of a run or sweep that cannot be written to, by its setting.

    Hydra makes these folders itself, before the command is called, and would show a trace.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Ends the command with exit code 1 where ``hydra.run.dir`` cannot be written to."""
        with ending_with_message():
            check_folder("hydra.run.dir", str(config.hydra.run.dir), folders=("config",))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Ends the command with exit code 1 where ``hydra.sweep.dir`` cannot be written to."""
        with ending_with_message():
            check_folder("hydra.sweep.dir", str(config.hydra.sweep.dir))
