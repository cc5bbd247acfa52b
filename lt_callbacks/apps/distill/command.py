"""The command ``lt-distill``. What it can answer without training is answered before torch or Lightning is imported."""

from __future__ import annotations

import sys

import hydra
from omegaconf import DictConfig

from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.errors import ending_with_message, without_trace
from lt_callbacks.apps.config.interrupts import ended_by_interrupt
from lt_callbacks.apps.config.known_settings import refuse_unknown_settings
from lt_callbacks.apps.config.register import register_schemas
from lt_callbacks.apps.config.typed import typed
from lt_callbacks.apps.sweep.sweep import is_sweep, refuse_ranks_of_a_sweep, run_sweep_job

register_schemas()


@ended_by_interrupt()
def main() -> None:
    """The command: ``lt-distill [group=choice] [setting=value] [-m ...]``."""
    refuse_ranks_of_a_sweep(sys.argv)
    with ending_with_message():
        refuse_unknown_settings(sys.argv[1:], DistillConfig)
    composed()


@hydra.main(config_path="pkg://lt_callbacks.conf", config_name="distill", version_base="1.3")
def composed(config: DictConfig) -> float | None:
    """Hydra's entry. Of a sweep's jobs, it gives the sweeper what it may choose by."""
    with without_trace():
        if is_sweep():
            return run_sweep_job(config, command="lt-distill", entry="lt_callbacks.apps.distill.run:run_job")
        settings = typed(config)
        # Takes seconds, which a misspelt setting need not wait for.
        from lt_callbacks.apps.distill.run import run

        run(settings)
    return None


if __name__ == "__main__":
    # Imported by name, so that launchers which pickle the entry find it in other processes.
    from lt_callbacks.apps.distill import command as distill

    distill.main()
