"""Runs that are killed anywhere end as the run that was not."""

from __future__ import annotations

import random
import subprocess

import pytest
from commands import lt_train, start, train_command
from patience import PATIENCE

from lt_callbacks.evaluation import read_result

SETTINGS = (
    "methods=[dsink]",
    "trainer.max_epochs=80",
    "checkpoint_every_seconds=0",
    "save_networks=true",
    # What D-SINK remembers of past batches is saved too.
    "dsink.class_marginal=running",
    "dsink.queue_batches=1",
)
NUM_KILLS = 10


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.timeout(4 * PATIENCE)
def test_ten_kills_do_not_change_a_bit(tmp_path, capsys):
    whole = lt_train(tmp_path / "whole", *SETTINGS)
    assert whole.returncode == 0, whole.stderr

    rng, places = random.Random(0), []
    killed = tmp_path / "killed"
    for _ in range(NUM_KILLS):
        before = checkpoints(killed)
        process = start(train_command(killed, *SETTINGS))
        # Starting takes seconds. From the first epoch that is done on, the kill may come at any moment.
        while process.poll() is None and checkpoints(killed) == before:
            wait(process, 0.01)
        wait(process, rng.uniform(0.0, 0.8))
        assert process.poll() is None, "finished before it could be killed often enough"
        process.kill()
        process.communicate()
        places.append(sorted(path.parts[-3] for path in checkpoints(killed)))
    went_on = lt_train(killed, *SETTINGS)
    assert went_on.returncode == 0, went_on.stderr

    name = "networks/dsink-seed0.safetensors"
    assert (killed / "run" / name).read_bytes() == (tmp_path / "whole" / "run" / name).read_bytes()
    one, two = (read_result(place / "run" / "metrics.json").results[0] for place in (tmp_path / "whole", killed))
    assert one.per_class == two.per_class
    assert one.extra["curves"] == two.extra["curves"]
    # In the training of a teacher, which the store keeps, and in that of the student.
    assert {place for found in places for place in found} == {"unfinished"}
    with capsys.disabled():
        print(f"\n{NUM_KILLS} kills, at checkpoints of {[sum(1 for _ in found) for found in places]} trainings")


def checkpoints(folder):
    """Of unfinished trainings -> when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("**/last.ckpt")}


def wait(process, seconds):
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return
