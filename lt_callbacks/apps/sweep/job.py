"""One job of a sweep: ``python -m lt_callbacks.apps.sweep.job FOLDER``, started by the sweep, not by people."""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path
from typing import Any

from lt_callbacks.apps.config.errors import is_spoken
from lt_callbacks.apps.config.from_dict import config_from_dict
from lt_callbacks.apps.config.job_record import DONE, FAILED, STOPPED, JobRecord, read_job
from lt_callbacks.apps.shared.parent_watch import end_with_parent
from lt_callbacks.apps.shared.preemption import Preempted
from lt_callbacks.apps.shared.provenance import command_line
from lt_callbacks.apps.shared.quiet import be_quiet


def main(folder: Path, *, rank: int = 0) -> int:
    """Run the job from its saved config alone, and record how it ended; the exit code.

    Args:
        folder: With the job's record.
        rank: Of this process, where a launcher started several for the job; the first one records.
    """
    end_with_parent()
    be_quiet()
    job = read_job(folder)
    if job is None:
        raise FileNotFoundError(f"`folder` must hold a job's record; got {str(folder)!r}, which does not.")
    started = time.monotonic()
    value, error, status, code = None, None, DONE, 0
    try:
        value = _run(job)
    except (Preempted, KeyboardInterrupt):
        status, code = STOPPED, Preempted.EXIT_CODE
    except Exception as raised:
        error, status, code = str(raised), FAILED, 1
        if is_spoken(raised):
            print(raised, flush=True)  # noqa: T201
        else:
            error = f"{type(raised).__name__}: {raised}"
            traceback.print_exc()
    if rank == 0:
        job.write(folder, status=status, error=error, value=value, seconds=round(time.monotonic() - started, 1))
    return code


def _run(job: JobRecord) -> float | None:
    command = command_line(name=job.command, arguments=job.overrides)
    if job.command == "lt-train":
        from lt_callbacks.apps.config.train_schemas import TrainConfig
        from lt_callbacks.apps.train import command as train

        return train.run(config_from_dict(TrainConfig, job.config), command=command)
    from lt_callbacks.apps.config.distill_schemas import DistillConfig
    from lt_callbacks.apps.distill import command as distill

    config: Any = config_from_dict(DistillConfig, job.config)
    distill.run(config, command=command)
    return None


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), rank=int(sys.argv[2])))
