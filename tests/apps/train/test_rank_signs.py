from __future__ import annotations

import json
import os
import socket

import pytest
from patience import wait_until

from lt_callbacks.apps.train import rank_signs as module
from lt_callbacks.apps.train.rank_signs import LifeSigns, RankSigns, clear_signs, first_failure, leave_failure


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def watched(tmp_path):
    """What looks at the signs, the lines that it says, and its clock."""
    said, clock = [], Clock()
    return RankSigns(tmp_path, say=said.append, silence=60.0, clock=clock), said, clock


def sign(folder, rank, number):
    (folder / f"alive-{rank}.json").write_text(json.dumps({"process": 4321, "host": "node7", "number": number}))


def look_on(signs, clock, seconds):
    """Look once a second for so long."""
    for _ in range(seconds):
        clock.seconds += 1.0
        signs.look()


def test_a_process_writes_that_it_lives_until_it_is_told_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_SIGNS", 0.01)
    path = tmp_path / "alive-3.json"

    def number():
        return json.loads(path.read_text())["number"] if path.exists() else 0

    life = LifeSigns(tmp_path, rank=3)
    life.start()
    wait_until(lambda: number() >= 3)
    known = json.loads(path.read_text())
    assert (known["process"], known["host"]) == (os.getpid(), socket.gethostname())
    life.stop()
    assert not path.exists()


def test_life_signs_that_cannot_be_written_end_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_SIGNS", 0.01)
    (tmp_path / "in_the_way").write_text("")
    life = LifeSigns(tmp_path / "in_the_way", rank=0)
    life.start()
    wait_until(life._thread.is_alive)
    life._is_over.set()
    life._thread.join()


def test_a_rank_that_falls_silent_is_reported_once_with_its_process_and_the_way_out(tmp_path, watched):
    signs, said, clock = watched
    for number in range(100):
        sign(tmp_path, 0, number)
        sign(tmp_path, 1, min(number, 10))
        look_on(signs, clock, 1)
    assert said == [
        f"Rank 1 of the training in {str(tmp_path)!r} has given no sign of life for 60 s, and the others wait for it: "
        "its process 4321 on node7 was stopped, or that machine is gone. `kill -CONT 4321` there lets it go on. Or end "
        "this command with Ctrl-C: the same command goes on from the last checkpoint."
    ]


def test_not_a_second_too_early(tmp_path, watched):
    signs, said, clock = watched
    sign(tmp_path, 1, 0)
    signs.look()
    look_on(signs, clock, 60)
    assert said == []
    look_on(signs, clock, 1)
    assert len(said) == 1


def test_a_rank_that_goes_on_is_reported_too_and_again_if_it_stops_again(tmp_path, watched):
    signs, said, clock = watched
    for number in range(3):
        sign(tmp_path, 1, number)
        look_on(signs, clock, 70)
    assert [line.endswith(" goes on.") for line in said] == [False, True, False, True, False]


def test_a_driver_that_was_stopped_itself_reports_nobody(tmp_path, watched):
    signs, said, clock = watched
    sign(tmp_path, 1, 0)
    signs.look()
    look_on(signs, clock, 10)
    clock.seconds += 3600.0
    signs.look()
    look_on(signs, clock, 49)
    assert said == []
    look_on(signs, clock, 2)
    assert len(said) == 1


def test_a_sign_that_is_taken_away_is_no_silence(tmp_path, watched):
    signs, said, clock = watched
    sign(tmp_path, 1, 0)
    signs.look()
    (tmp_path / "alive-1.json").unlink()
    look_on(signs, clock, 100)
    assert said == []


def test_the_failure_that_came_first_is_the_one_that_is_told(tmp_path, monkeypatch):
    assert first_failure(tmp_path) is None
    times = iter([20.0, 10.0, 30.0])
    monkeypatch.setattr(module.time, "time", lambda: next(times))
    for process, rank, error in ((1, 0, "RuntimeError: closed by peer"), (2, 1, "OSError: gone"), (3, 2, "x")):
        monkeypatch.setattr(module.os, "getpid", lambda process=process: process)
        leave_failure(tmp_path, rank=rank, error=error)
    assert first_failure(tmp_path) == f"Rank 1 of the training in {str(tmp_path)!r} failed: OSError: gone"


def test_a_rank_may_fail_before_it_knows_its_number(tmp_path):
    leave_failure(tmp_path, rank=None, error="ValueError: no data")
    said = f"A rank that had not met the others yet of the training in {str(tmp_path)!r} failed: ValueError: no data"
    assert first_failure(tmp_path) == said


def test_a_failure_that_cannot_be_written_or_read_hides_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    leave_failure(tmp_path / "file", rank=0, error="x")
    (tmp_path / "failed-a-1.json").write_text("{half of")
    assert first_failure(tmp_path) is None


def test_what_ranks_left_is_cleared_and_nothing_else(tmp_path):
    sign(tmp_path, 0, 1)
    leave_failure(tmp_path, rank=0, error="x")
    (tmp_path / "rank-0.json").write_text("{}")
    clear_signs(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rank-0.json"]
