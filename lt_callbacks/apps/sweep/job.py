"""One job of a sweep: ``python -m lt_callbacks.apps.sweep.job ENTRY FOLDER RANK``, started by the sweep."""

from __future__ import annotations

import pkgutil
import sys
import time
import traceback
from pathlib import Path

from lt_callbacks._errors import ArgumentFileError, UserError
from lt_callbacks.apps.config.job_record import DONE, FAILED, STOPPED, read_job
from lt_callbacks.apps.shared.parent_watch import end_with_parent
from lt_callbacks.apps.shared.preemption import Preempted


def main(entry: str, folder: Path, *, rank: int = 0) -> int:
    """Run the job from its saved config alone, and record how it ended; the exit code.

    Args:
        entry: ``"module:function"`` of the command; called with the job's record, it returns what a sweeper may choose
            by, or None.
        folder: With the job's record.
        rank: Of this process, where a launcher started several for the job; the first one records.
    """
    # Saved, its work is not lost to the next process of this job, which waits for it.
    end_with_parent(saves=True)
    job = read_job(folder)
    if job is None:
        raise ArgumentFileError("folder", rule="hold a job's record", got=f"{str(folder)!r}, which does not")
    started = time.monotonic()
    value, error, status, code = None, None, DONE, 0
    try:
        value = pkgutil.resolve_name(entry)(job)
    except (Preempted, KeyboardInterrupt):
        status, code = STOPPED, Preempted.EXIT_CODE
    except UserError as raised:
        error, status, code = str(raised), FAILED, 1
        print(raised, flush=True)  # noqa: T201
    except Exception as raised:
        error, status, code = f"{type(raised).__name__}: {raised}", FAILED, 1
        traceback.print_exc()
    if rank == 0:
        job.write(folder, status=status, error=error, value=value, seconds=round(time.monotonic() - started, 1))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), rank=int(sys.argv[3])))
