"""A forked program is as one that a fresh interpreter runs, but for its imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import warm_processes
from warm_processes import environment

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.skipif(sys.platform != "linux", reason="other platforms' libraries do not survive a fork"),
]

TELL = """
import json, multiprocessing, os, signal, sys, threading, warnings
import numpy, torch
class Here:
    pass
facts = {
    "arguments": sys.argv[1:], "place": os.getcwd(), "variables": dict(os.environ), "first": sys.path[0], "name": __name__,
    "here": getattr(sys.modules["__main__"], "Here", None) is Here, "start": multiprocessing.get_start_method(),
    "threads": torch.get_num_threads(), "interrupt": str(signal.getsignal(signal.SIGINT)),
    "tests": [path for path in sys.path if "/tests" in path], "alive": threading.active_count(),
}
facts["warned"] = any(action == "error" for action, *_ in warnings.filters)
print(json.dumps(facts))
print(os.getppid(), numpy.random.rand(), torch.initial_seed(), len(os.listdir("/proc/self/task")), file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    (folder / "tell.py").write_text(TELL)
    (folder / "elsewhere").mkdir()
    return folder


@pytest.mark.parametrize(
    "kind",
    [["-c", TELL], ["-m", "tell"], ["tell.py"], ["-W", "error", "-c", TELL]],
    ids=["code", "module", "script", "warnings"],
)
def test_it_is_told_and_tells_what_a_fresh_one_does(folder, kind):
    place = folder / "elsewhere" if kind[0] != "-m" else folder
    kind = [str(folder / part) if part == "tell.py" else part for part in kind]
    variables = {**environment(), "MINE": "ü"}
    command = [sys.executable, *kind, "3", "two words"]
    fresh = subprocess.run(command, cwd=place, env=variables, capture_output=True, text=True)
    forked = [warm_processes.run(command, cwd=place, env=variables) for _ in range(2)]
    assert [each.returncode for each in forked] == [fresh.returncode, fresh.returncode] == [3, 3], fresh.stderr
    told, *others = (json.loads(each.stdout) for each in (fresh, *forked))
    # Python adds one of its own where no locale is set.
    for each in (told, *others):
        each["variables"].pop("LC_CTYPE", None)
    assert others == [told, told]
    parents, drawn, seeds, tasks = zip(*(each.stderr.split() for each in forked), strict=True)
    assert len(set(parents)) == 1
    assert str(os.getpid()) not in parents
    assert len(set(drawn)) == len(set(seeds)) == 2
    # The libraries' threads would be missing in a copy of a process that had some.
    assert set(tasks) == {"1"}


def test_a_command_is_found_by_its_name(tmp_path):
    done = warm_processes.run(["lt-report", "nowhere"], cwd=tmp_path)
    assert done.returncode == 2
    assert "`DIR` must be folders of finished runs" in done.stderr


def test_an_error_is_its_own(tmp_path):
    code = "import atexit, sys; atexit.register(print, 'at the end'); print('begun'); raise KeyError('mine')"
    done = warm_processes.run([sys.executable, "-c", code], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "begun\nat the end\n")
    assert done.stderr.splitlines()[-1] == "KeyError: 'mine'"
    done = warm_processes.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], cwd=tmp_path)
    assert done.returncode == -9


def test_what_is_imported_stays_imported_and_what_is_set_does_not(tmp_path):
    code = "import sys, lightning, torch; print('lightning' in sys.modules, hasattr(torch, 'mine')); torch.mine = 1"
    for _ in range(2):
        assert warm_processes.run([sys.executable, "-c", code], cwd=tmp_path).stdout == "True False\n"
    assert not list(Path(tmp_path).iterdir())
