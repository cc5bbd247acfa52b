"""Processes forked from one that has imported torch, Lightning and the commands: what is run in them costs no import.

For tests of what a program does. Those of how it starts, one of each command, and those that choose what a library reads
when it is imported, start a fresh interpreter.
"""

from __future__ import annotations

import atexit
import importlib.metadata
import importlib.util
import multiprocessing
import os
import socket
import subprocess
import sys
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory

from patience import PATIENCE

from lt_callbacks.apps.shared.launcher_variables import clean_environment

TESTS = Path(__file__).parent

#: What takes long to import. The server leaves out what is not installed.
IMPORTS = (
    "torch",
    "torchvision",
    "lightning.pytorch",
    "torchmetrics",
    "sklearn.datasets",
    "matplotlib.backends.backend_agg",
    "lt_callbacks.apps.train.run",
    "lt_callbacks.apps.train.phase_worker",
    "lt_callbacks.apps.predict.run",
)


def environment(**changes: object) -> dict[str, str]:
    """Without what tests that run before left behind."""
    clean = {name: value for name, value in clean_environment().items() if not name.startswith("PL_")}
    return {**clean, "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in changes.items()}}


def warm() -> ForkServerContext:
    """Starts processes that have the imports; the first call pays for them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTS))
    place = Path.cwd()
    # The server looks for modules in its working directory first: the package there may not be the one under test.
    os.chdir(os.sep)
    try:
        with _variables(environment()):
            forkserver.ensure_running()
    finally:
        os.chdir(place)
    return context


def as_fresh(variables: Mapping[str, str]) -> None:
    """In such a process: what differs from one that was not forked is made alike."""
    os.environ.clear()
    os.environ.update(variables)
    # Its own children are started as everybody's.
    multiprocessing.set_start_method(None, force=True)
    # A fresh process has random numbers of its own. Python's own generator sees to itself.
    sys.modules["numpy"].random.seed()
    sys.modules["torch"].default_generator.seed()


class Program:
    """A running Python program, as `subprocess.Popen` is one.

    Args:
        command: As typed: the interpreter, `-W`, and `-c`, `-m` or a script; or the name of a command of this package.
        cwd: None: that of this process.
        env: All variables. None: `environment()`.
    """

    def __init__(
        self, command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._command, self._files = list(command), TemporaryDirectory()
        self._said = [Path(self._files.name, name) for name in ("out", "err")]
        variables = environment() if env is None else dict(env)
        arguments = (self._command, str(cwd or Path.cwd()), variables, self._said)
        self._process = warm().Process(target=_program, args=arguments)
        self._process.start()
        # What a failed test leaves running would be waited for at the end.
        atexit.register(self._process.kill)

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Its end: exit code, negative where a signal ended it, and what it said."""
        self._process.join(PATIENCE)
        code = self._process.exitcode
        out, err = (path.read_text() if path.exists() else "" for path in self._said)
        if code is None:
            self._process.kill()
            raise subprocess.TimeoutExpired(self._command, PATIENCE, out, err)
        atexit.unregister(self._process.kill)
        self._files.cleanup()
        return subprocess.CompletedProcess(self._command, code, out, err)


def run(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; see `Program`."""
    return Program(command, cwd=cwd, env=env).wait()


def run_ranks_of(command: Sequence[str], *, num_ranks: int = 2) -> list[subprocess.CompletedProcess[str]]:
    """Run a program that trains with Lightning as several ranks, each started by somebody else than Lightning."""
    port = free_port()
    ranks = [
        Program(command, env=environment(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, NODE_RANK=0, LOCAL_RANK=rank))
        for rank in range(num_ranks)
    ]
    return [rank.wait() for rank in ranks]


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _variables(environment: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _program(command: list[str], cwd: str, variables: dict[str, str], said: list[Path]) -> None:
    """What runs in the process."""
    for path, stream in zip(said, (sys.stdout, sys.stderr), strict=True):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(file, stream.fileno())
        os.close(file)
    as_fresh(variables)
    os.chdir(cwd)
    # Test files import the helpers that lie beside them; a program does not.
    given = [path for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = given + [path for path in sys.path if not Path(path).resolve().is_relative_to(TESTS)]
    try:
        _as_typed(command)()
    finally:
        # multiprocessing leaves out what is registered there.
        atexit._run_exitfuncs()


def _as_typed(command: list[str]) -> Callable[[], object]:
    """What an interpreter would do."""
    program, *arguments = command
    if not Path(program).name.startswith("python"):
        (entry,) = importlib.metadata.entry_points(group="console_scripts", name=Path(program).name)
        sys.argv = [program, *arguments]
        return lambda: sys.exit(entry.load()())
    while arguments[0] == "-W":
        warnings.simplefilter(arguments[1])  # type: ignore[arg-type]
        arguments = arguments[2:]
    main = types.ModuleType("__main__")
    kind, *rest = arguments
    if kind == "-c":
        first, code, sys.argv = "", compile(rest[0], "<string>", "exec"), ["-c", *rest[1:]]
    elif kind == "-m":
        first = str(Path.cwd())
        sys.path.insert(0, first)
        main.__spec__ = spec = importlib.util.find_spec(rest[0])
        main.__package__, main.__file__ = spec.parent, spec.origin
        code, sys.argv = spec.loader.get_code(spec.name), [spec.origin, *rest[1:]]
        sys.path.remove(first)
    else:
        main.__file__ = kind
        first, code, sys.argv = (
            str(Path(kind).resolve().parent),
            compile(Path(kind).read_text(), kind, "exec"),
            arguments,
        )
    sys.path.insert(0, first)
    sys.modules["__main__"] = main
    return lambda: exec(code, main.__dict__)
