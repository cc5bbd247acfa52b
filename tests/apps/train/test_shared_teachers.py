"""Jobs side by side that need one teacher."""

from __future__ import annotations

import signal
import time

import pytest
from commands import start, store_events, train_command
from patience import PATIENCE, wait_until

from lt_callbacks.evaluation import read_result

# What a teacher does not depend on: four jobs, one teacher.
JOBS = [("methods=[imbalance_teacher]", f"dsink.alpha={alpha}") for alpha in (1, 2, 3, 4)]


def wait_for_training(folder, number=1):
    wait_until(lambda: len(store_events(folder)) >= number)


@pytest.mark.slow
@pytest.mark.ddp
def test_four_jobs_at_once_train_their_teacher_once(tmp_path):
    commands = [train_command(tmp_path, *job, f"hydra.run.dir={tmp_path}/job{n}") for n, job in enumerate(JOBS)]
    processes = [start(command) for command in commands]
    said = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert [event["event"] for event in store_events(tmp_path)] == ["training", "stored"]
    cells = [read_result(tmp_path / f"job{n}" / "metrics.json").results[0] for n in range(4)]
    assert sorted(cell.extra["reused"] for cell in cells) == [False, True, True, True]
    assert len({cell.per_class for cell in cells}) == 1


@pytest.mark.slow
@pytest.mark.ddp
def test_a_job_killed_in_the_middle_of_the_teacher_does_not_block_the_others(tmp_path):
    settings = ("trainer.max_epochs=40", "checkpoint_every_seconds=0")
    commands = [
        train_command(tmp_path, *job, *settings, f"hydra.run.dir={tmp_path}/job{n}") for n, job in enumerate(JOBS)
    ]
    first = start(commands[0])
    wait_for_training(tmp_path)
    others = [start(command) for command in commands[1:]]
    while not list((tmp_path / "store" / "jobs" / "unfinished").glob("*/last.ckpt")):
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    said = [process.communicate(timeout=PATIENCE)[0] for process in others]
    assert [process.returncode for process in others] == [0] * 3, said
    events = store_events(tmp_path)
    assert [event["event"] for event in events] == ["training", "training", "stored"]
    assert events[0]["process"] == first.pid
    cells = [read_result(tmp_path / f"job{n}" / "metrics.json").results[0] for n in range(1, 4)]
    assert sorted(cell.extra["reused"] for cell in cells) == [False, True, True]
    # Who took over went on where the dead one was, and nothing of it is left.
    assert not (tmp_path / "store" / "jobs" / "unfinished").exists() or not list(
        (tmp_path / "store" / "jobs" / "unfinished").iterdir()
    )
