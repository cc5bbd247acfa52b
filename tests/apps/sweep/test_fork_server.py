from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from commands import environment
from job_entries import make_job, runs, told
from patience import wait_until

from lt_callbacks.apps.config.job_record import read_job
from lt_callbacks.apps.sweep import job
from lt_callbacks.apps.sweep.fork_server import CannotForkError, ForkServer, JobRequest

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux only"),
]

PATH = os.pathsep.join(path for path in sys.path if path)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Not at the project's root, whose package would come before any other."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def started(tmp_path):
    """Starts a server for an entry; it is gone after the test."""
    servers = []

    def start(entry, **variables):
        log = tmp_path / "server.log"
        servers.append(ForkServer(f"job_entries:{entry}", environment(PYTHONPATH=PATH, **variables), log=log))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def request(folder, **config):
    make_job(folder, **config)
    return JobRequest(folder=folder, log=folder / "job.log", working_directory=folder)


def end_of(server):
    """Exit code of the job that was started last."""
    codes = []
    wait_until(lambda: codes.append(server.poll()) or codes[-1] is not None)
    return codes[-1]


def run(server, folder, **config):
    server.start(request(folder, **config))
    return end_of(server)


def test_jobs_are_copies_of_one_process_from_before_anything_was_done(started, tmp_path):
    server = started("tell")
    assert [run(server, tmp_path / name) for name in "abc"] == [0, 0, 0]
    found = [told(tmp_path / name) for name in "abc"]
    assert len({each.process for each in found}) == 3
    assert len({each.parent for each in found}) == 1
    # Imported once, with what the entry's module says is used later; nothing of the job before is left.
    assert len({each.imported for each in found}) == 1
    assert [each.num_seen for each in found] == [1, 1, 1]
    assert all(each.used_later for each in found)
    assert [read_job(tmp_path / name).value for name in "abc"] == [1.5, 1.5, 1.5]


def test_a_job_has_a_session_a_log_a_folder_and_random_numbers_of_its_own(started, tmp_path):
    server = started("tell", MY_SETTING="y")
    for name in "ab":
        run(server, tmp_path / name)
        each = told(tmp_path / name)
        assert each.session == each.group == each.process
        assert each.place == str(tmp_path / name)
        assert each.environment["MY_SETTING"] == "y"
        assert each.handler_is_default
        assert (tmp_path / name / "job.log").read_text().split("\n")[:-1] in (
            ["what it said", "what it complained about"],
            ["what it complained about", "what it said"],
        )
    assert not set(told(tmp_path / "a").numbers) & set(told(tmp_path / "b").numbers)
    assert (tmp_path / "server.log").read_text() == ""


def test_a_job_has_the_threads_of_a_fresh_process(started, tmp_path):
    run(started("tell"), tmp_path / "a")
    # The one that works, and the one that ends it with its parent.
    assert len(told(tmp_path / "a").threads) == 2


@pytest.mark.parametrize(("entry", "code"), [("fail", 1), ("interrupt", 143), ("crash", -signal.SIGKILL)])
def test_a_job_that_fails_does_not_take_the_next_one(started, tmp_path, entry, code):
    server = started(entry)
    assert run(server, tmp_path / "a") == code
    assert run(server, tmp_path / "b") == code
    assert ("Traceback" in (tmp_path / "b" / "job.log").read_text()) == (entry == "fail")


@pytest.mark.parametrize(("given", "code"), [(3, 3), (0, 0), (None, 0), ("a reason", 1)])
def test_a_job_may_leave_with_an_exit_code_of_its_own(started, tmp_path, given, code):
    assert run(started("leave"), tmp_path / "a", code=given) == code


def test_an_error_of_the_job_itself_is_in_its_log(started, tmp_path):
    server = started("tell")
    (tmp_path / "empty").mkdir()
    server.start(JobRequest(folder=tmp_path / "empty", log=tmp_path / "job.log", working_directory=tmp_path))
    assert end_of(server) == 1
    assert "`folder` must hold a job's record" in (tmp_path / "job.log").read_text()


def test_a_job_that_is_asked_to_end_can_save(started, tmp_path):
    server = started("save_when_asked")
    server.start(request(tmp_path / "a"))
    wait_until(lambda: server.poll() is None and (tmp_path / "a" / "told.json").exists())
    server.terminate()
    assert end_of(server) == 143
    assert (tmp_path / "a" / "saved").exists()


def test_a_job_that_will_not_end_can_be_ended(started, tmp_path):
    server = started("ignore")
    server.start(request(tmp_path / "a"))
    wait_until(lambda: server.poll() is None and (tmp_path / "a" / "told.json").exists())
    server.terminate()
    time.sleep(0.3)
    assert server.poll() is None
    server.kill()
    assert end_of(server) == -signal.SIGKILL
    # A signal that comes too late is nobody's.
    server.terminate()
    server.start(request(tmp_path / "b"))
    wait_until(lambda: server.poll() is None and (tmp_path / "b" / "told.json").exists())


def test_a_server_that_is_asked_to_end_before_it_has_a_job_ends(started, tmp_path):
    server = started("tell")
    server.start(request(tmp_path / "a"))
    server.terminate()
    assert end_of(server) == -signal.SIGTERM
    assert not server.is_alive
    assert not (tmp_path / "a" / "told.json").exists()


def test_a_job_saves_and_ends_with_its_server(started, tmp_path):
    server = started("save_when_asked")
    server.start(request(tmp_path / "a"))
    wait_until(lambda: server.poll() is None and (tmp_path / "a" / "told.json").exists())
    os.kill(told(tmp_path / "a").parent, signal.SIGKILL)
    assert end_of(server) == -signal.SIGKILL
    wait_until(lambda: not runs(told(tmp_path / "a").process))
    assert (tmp_path / "a" / "saved").exists()
    # Nobody is there to hear it.
    server.terminate()
    server.start(request(tmp_path / "b"))
    assert end_of(server) == -signal.SIGKILL


SWEEP = """
import os, sys, time
from pathlib import Path
from job_entries import make_job
from lt_callbacks.apps.sweep.fork_server import ForkServer, JobRequest
folder = make_job(Path(sys.argv[1]))
server = ForkServer("job_entries:save_when_asked", os.environ, log=folder / "server.log")
server.start(JobRequest(folder=folder, log=folder / "job.log", working_directory=folder))
while server.poll() is None:
    time.sleep(0.05)
"""


def test_server_and_job_end_with_the_sweep(tmp_path):
    sweep = subprocess.Popen([sys.executable, "-c", SWEEP, str(tmp_path)], env=environment(PYTHONPATH=PATH))
    try:
        wait_until(lambda: (tmp_path / "told.json").exists())
        found = told(tmp_path)
        assert runs(found.process)
        assert runs(found.parent)
    finally:
        sweep.kill()
        sweep.wait()
    wait_until(lambda: not runs(found.process) and not runs(found.parent))
    assert (tmp_path / "saved").exists()


@pytest.mark.parametrize("entry", ["threaded_entry:tell", "no_such_module:tell"])
def test_a_process_that_cannot_be_forked_is_refused(tmp_path, entry):
    server = ForkServer(entry, environment(PYTHONPATH=PATH), log=tmp_path / "server.log")
    server.start(request(tmp_path / "a"))
    with pytest.raises(CannotForkError):
        end_of(server)
    server.close()
    assert not (tmp_path / "a" / "told.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("num_threads", ["1", None], ids=["one thread", "all threads"])
def test_the_imports_of_a_command_leave_torch_as_they_find_it(tmp_path, num_threads):
    variables = environment(PYTHONPATH=PATH)
    if num_threads is None:
        # BLAS libraries start their threads when they are imported.
        variables.pop("OMP_NUM_THREADS")
    server = ForkServer("torch_entry:tell_torch", variables, log=tmp_path / "server.log")
    for name in "ab":
        assert run(server, tmp_path / name) == 0
    server.close()
    folder = make_job(tmp_path / "fresh")
    command = [sys.executable, "-m", job.__name__, "torch_entry:tell_torch", str(folder), "0"]
    subprocess.run(command, env=variables, check=True)
    fresh, *forked = (json.loads((tmp_path / name / "torch.json").read_text()) for name in ("fresh", "a", "b"))
    assert len({tuple(state.pop("drawn")) for state in (fresh, *forked)}) == 3
    assert forked == [fresh, fresh]
    assert not fresh["cuda"]
