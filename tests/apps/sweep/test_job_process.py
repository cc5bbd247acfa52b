from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from commands import environment
from job_entries import make_job, runs, told
from patience import PATIENCE, wait_until

from lt_callbacks.apps.shared.preemption import Preempted
from lt_callbacks.apps.sweep import job_process
from lt_callbacks.apps.sweep.job_process import end_fork_servers, run_job_process

pytestmark = [pytest.mark.ddp]

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux only")
FORKED_OR_NOT = pytest.mark.parametrize("is_forked", [pytest.param(True, marks=ON_LINUX), False])
VARIABLES = environment(PYTHONPATH=os.pathsep.join(path for path in sys.path if path))


@pytest.fixture(autouse=True)
def _no_servers(monkeypatch):
    monkeypatch.setattr(job_process, "_unforkable", set())
    yield
    end_fork_servers()


def run(folder, entry="job_entries:tell", *, is_forked, **config):
    return run_job_process(entry, make_job(folder, **config), VARIABLES, rank=0, is_forked=is_forked)


@FORKED_OR_NOT
def test_a_job_has_a_process_of_its_own(tmp_path, is_forked):
    assert run(tmp_path / "a", is_forked=is_forked) == 0
    found = told(tmp_path / "a")
    assert (found.parent == os.getpid()) == (not is_forked)
    assert found.session == found.process != os.getpid()
    assert found.place == str(Path.cwd())
    # Python adds one of its own where no locale is set.
    assert {**found.environment, "LC_CTYPE": ""} == {**VARIABLES, "LC_CTYPE": ""}
    assert "what it said" in (tmp_path / "a" / "job.log").read_text()


@FORKED_OR_NOT
@pytest.mark.parametrize(
    ("entry", "config", "code"),
    [("fail", {}, 1), ("interrupt", {}, 143), ("leave", {"code": 3}, 3), ("crash", {}, -signal.SIGKILL)],
)
def test_the_exit_code_is_that_of_the_job(tmp_path, entry, config, code, is_forked):
    assert run(tmp_path / "a", f"job_entries:{entry}", is_forked=is_forked, **config) == code


@ON_LINUX
def test_jobs_share_a_server_until_the_sweep_is_over(tmp_path):
    for name in "ab":
        run(tmp_path / name, is_forked=True)
    (server,) = {told(tmp_path / name).parent for name in "ab"}
    assert runs(server)
    end_fork_servers()
    assert not runs(server)
    run(tmp_path / "c", is_forked=True)
    assert told(tmp_path / "c").parent != server


@ON_LINUX
def test_a_job_with_another_environment_or_entry_has_a_server_of_its_own(tmp_path):
    run(tmp_path / "a", is_forked=True)
    # Libraries read their variables when they are imported.
    other = {**VARIABLES, "OMP_NUM_THREADS": "2"}
    run_job_process("job_entries:tell", make_job(tmp_path / "b"), other, rank=0, is_forked=True)
    assert told(tmp_path / "b").environment["OMP_NUM_THREADS"] == "2"
    run(tmp_path / "c", "slow_entry:tell", is_forked=True)
    servers = [told(tmp_path / name).parent for name in "abc"]
    assert len(set(servers)) == 3
    assert [runs(server) for server in servers] == [False, False, True]


@ON_LINUX
def test_a_server_that_died_is_replaced(tmp_path):
    run(tmp_path / "a", is_forked=True)
    server = told(tmp_path / "a").parent
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not runs(server))
    assert run(tmp_path / "b", is_forked=True) == 0
    assert told(tmp_path / "b").parent not in (server, os.getpid())


@ON_LINUX
def test_where_no_process_can_be_forked_jobs_are_fresh_ones(tmp_path):
    assert run(tmp_path / "a", "threaded_entry:tell", is_forked=True) == 0
    assert told(tmp_path / "a").parent == os.getpid()
    # Asked once.
    assert job_process._unforkable == {"threaded_entry:tell"}
    assert run(tmp_path / "b", "threaded_entry:tell", is_forked=True) == 0
    assert told(tmp_path / "b").parent == os.getpid()


def test_a_platform_that_cannot_fork_starts_fresh_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(job_process, "CAN_FORK", False)
    assert run(tmp_path / "a", is_forked=True) == 0
    assert told(tmp_path / "a").parent == os.getpid()


def test_ranks_of_a_job_are_fresh_processes_with_logs_of_their_own(tmp_path):
    make_job(tmp_path)
    assert run_job_process("job_entries:tell", tmp_path, VARIABLES, rank=1, is_forked=True) == 0
    assert told(tmp_path).parent == os.getpid()
    assert "what it said" in (tmp_path / "job-1.log").read_text()
    assert not (tmp_path / "job.log").exists()


def stop_when(is_time, number=signal.SIGTERM):
    def wait():
        wait_until(is_time)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@FORKED_OR_NOT
def test_a_job_saves_when_the_sweep_is_asked_to_stop(tmp_path, is_forked):
    thread = stop_when((tmp_path / "a" / "told.json").exists)
    with pytest.raises(Preempted):
        run(tmp_path / "a", "job_entries:save_when_asked", is_forked=is_forked)
    thread.join()
    assert (tmp_path / "a" / "saved").exists()
    found = told(tmp_path / "a")
    assert not runs(found.process)
    # A sweep that stops needs no server.
    assert is_forked != runs(found.parent)


@FORKED_OR_NOT
def test_a_job_that_does_not_end_is_ended(tmp_path, monkeypatch, is_forked):
    monkeypatch.setattr(job_process, "_SECONDS_TO_SAVE", 0.5)
    thread = stop_when((tmp_path / "a" / "told.json").exists)
    with pytest.raises(Preempted):
        run(tmp_path / "a", "job_entries:ignore", is_forked=is_forked)
    thread.join()
    assert not runs(told(tmp_path / "a").process)


@ON_LINUX
def test_a_sweep_that_is_stopped_during_the_imports_waits_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(job_process, "_SECONDS_TO_SAVE", 2 * PATIENCE)
    thread = stop_when((tmp_path / "importing").exists)
    with pytest.raises(Preempted):
        run_job_process(
            "slow_entry:tell",
            make_job(tmp_path / "a"),
            {**VARIABLES, "IMPORTING": str(tmp_path / "importing")},
            rank=0,
            is_forked=True,
        )
    thread.join()
    assert not (tmp_path / "a" / "told.json").exists()
