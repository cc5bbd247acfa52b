"""Sweeps whose parent never trains: each job is a clean process that starts from its own saved config."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig

from lt_callbacks.apps.config.errors import CommandError
from lt_callbacks.apps.config.interrupts import told
from lt_callbacks.apps.config.job_record import DONE, FAILED, LOG, RUNNING, STOPPED, JobRecord, job_hash, read_job
from lt_callbacks.apps.config.typed import typed
from lt_callbacks.apps.shared.launcher_variables import clean_environment, launcher_ranks
from lt_callbacks.apps.sweep.job_process import end_fork_servers, run_job_process


def is_sweep() -> bool:
    """Whether Hydra calls for a job of a multirun."""
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def refuse_ranks_of_a_sweep(argv: list[str]) -> None:
    """End this process if a launcher started several of a sweep: each would walk its own copy of it.

    Raises:
        SystemExit: With the command that works, from the first rank.
    """
    asks_for_sweep = any(argument in ("-m", "--multirun", "hydra.mode=MULTIRUN") for argument in argv[1:])
    ranks = launcher_ranks()
    if not asks_for_sweep or ranks is None:
        return
    if int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))):
        # The launcher ends all ranks with the first: let that be the one that says why.
        time.sleep(10)
        raise SystemExit(2)
    launcher, number = ranks
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("SLURM_NTASKS_PER_NODE", number)))
    kept = [argument for argument in argv[1:] if not argument.startswith("trainer.devices=")]
    command = " ".join([Path(argv[0]).name, *kept, f"trainer.devices={devices}"])
    print(  # noqa: T201
        f"A sweep must be started as one process; {launcher} started {number} of this command, and each would walk its "
        f"own copy of the sweep. Leave {launcher} out, every job starts its own ranks:\n  {command}\nOn a Slurm "
        "cluster add launcher=submitit_slurm: every job is submitted by itself.",
        file=sys.stderr,
    )
    raise SystemExit(2)


def run_sweep_job(config: DictConfig, *, command: str, entry: str) -> float | None:
    """Run one job in a process of its own; or skip it, where its folder holds it finished with the same settings.

    Args:
        config: Of the job, as Hydra composed it.
        command: ``lt-train`` or ``lt-distill``.
        entry: ``"module:function"`` that runs a job; see `lt_callbacks.apps.sweep.job.main`.

    Returns:
        What a sweeper may choose by; None where there is nothing, or the job of a grid failed.

    Raises:
        CommandError: The job failed, and the sweeper is one that must know.
        KeyboardInterrupt, Preempted: The sweep was asked to stop; its job was, too.
    """
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    overrides = list(hydra_config.overrides.task)
    is_grid = str(hydra_config.sweeper._target_).endswith("BasicSweeper")
    # A scheduler starts the processes of a job for that job: their ranks are its own.
    keeps_ranks = "submitit" in str(hydra_config.launcher._target_)
    rank = int(os.environ.get("SLURM_PROCID", "0")) if keeps_ranks else 0
    # Others run a job where none may follow.
    is_forked = str(hydra_config.launcher._target_).endswith(("BasicLauncher", "JoblibLauncher"))

    settings = asdict(typed(single_seed(config, overrides)))
    found = read_job(folder)
    job = JobRecord(
        command=command,
        hash=job_hash(command, settings),
        status=RUNNING,
        overrides=overrides,
        config=settings,
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    if found is not None and found.hash == job.hash and found.status == DONE:
        _say(f"{folder.name}: finished before, skipped")
        return found.value
    if rank == 0:
        job.write(folder)
    started = time.monotonic()
    environment = dict(os.environ) if keeps_ranks else clean_environment()
    try:
        code = run_job_process(entry, folder, environment, rank=rank, is_forked=is_forked)
    except BaseException as stop:
        if rank == 0:
            _say(f"Stopped. The same command with hydra.sweep.dir={folder.parent} goes on: what is done is skipped.")
            stopped = read_job(folder)
            if stopped is not None and stopped.status == RUNNING:
                stopped.write(folder, status=STOPPED)
        raise told(stop) from None
    finished = read_job(folder) or job
    if rank == 0 and finished.status == RUNNING:
        # Killed: it could not say so itself.
        finished = finished.write(folder, status=FAILED, error=f"its process ended with exit code {code}")
    seconds = time.monotonic() - started
    if finished.status == DONE:
        _say(f"{folder.name}: done in {seconds:.0f} s")
    else:
        _say(f"{folder.name}: {finished.status} after {seconds:.0f} s. {_shortened(finished.error)} See its {LOG}")
        if not is_grid:
            raise CommandError(f"The job {folder.name!r} failed: {finished.error}")
    return finished.value


def single_seed(config: DictConfig, overrides: list[str]) -> DictConfig:
    """Of a job that is told its seed, and not how many, that seed alone: the sweep goes over the others."""
    given = {override.lstrip("+").partition("=")[0] for override in overrides}
    if "seed" in given and "num_seeds" not in given:
        config = config.copy()
        config.num_seeds = 1
    return config


class SweepSummary(Callback):
    """Hydra's callback of the commands: at a sweep's end, says which jobs failed and where their logs are."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Ends the command with exit code 1 where one did."""
        end_fork_servers()
        folder = Path(config.hydra.sweep.dir)
        jobs = {path.parent: job for path in sorted(folder.glob("*/job.json")) if (job := read_job(path.parent))}
        if not jobs:
            return
        unfinished = {place: job for place, job in jobs.items() if job.status != DONE}
        _say(
            f"{len(jobs) - len(unfinished)} of {len(jobs)} jobs in {folder} are done. Compare them: lt-report {folder}"
        )
        for place, job in unfinished.items():
            _say(f"  {job.status}: {place.name}: {_shortened(job.error)} See {place.name}/{LOG}")
        if unfinished:
            _say(f"Run the others again: the same command with hydra.sweep.dir={folder} skips what is done.")
            sys.exit(1)


def _shortened(error: str | None) -> str:
    text = (error or "").strip().partition("\n")[0]
    return text if len(text) <= 300 else f"{text[:300]}..."


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
