"""Commands that are stopped at random moments, in every way, and started again: they end as those that were not."""

from __future__ import annotations

import csv
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import SMALL, environment
from finished_jobs import write_sweep
from patience import PATIENCE, wait_until
from tiny_run import SMALL_DISTILL

from lt_callbacks.evaluation import read_result

#: SIGKILL, which nothing can answer; what schedulers send; and Ctrl-C, pressed twice.
STOPS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
NUM_KILLS = 12
MARK = "LT_CALLBACKS_TEST_FOLDER"

# What may differ between two runs of one command: how long things took, and where they came from.
_TIMES = ("seconds", "teachers", "stage_seconds", "reused")


@dataclass
class Command:
    """One that is stopped, and what it must have left in the end.

    Attributes:
        module: Of the command.
        arguments: Folder -> arguments.
        outcome: Folder -> all that must not depend on when and where it was stopped.
        begun: Folder and process -> whether the command itself has begun, and Python is no longer loading it.
    """

    module: str
    arguments: Callable[[Path], list[str]]
    outcome: Callable[[Path], dict[str, Any]]
    begun: Callable[[Path, int], bool]

    def start(self, folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", self.module, *self.arguments(folder)],
            env=environment(**{MARK: folder}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # Below a shell's background SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


def run_command(name: str, *settings: str) -> Callable[[Path], list[str]]:
    def arguments(folder: Path) -> list[str]:
        places = [f"hydra.run.dir={folder / 'run'}", f"hydra.sweep.dir={folder / 'run'}", f"store={folder / 'store'}"]
        return [*settings[: settings[:1] == ("-m",)], *places, *settings[settings[:1] == ("-m",) :]]

    return arguments


TRAIN = (*SMALL[:2], "trainer.accelerator=cpu", "checkpoint_every_seconds=0", "test_every_n_epochs=4")


def results_of(folder: Path) -> dict[str, Any]:
    """Of every document below a folder, without times; with tables, weights and the names of all files."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "run").rglob("metrics.json")):
        name = path.relative_to(folder).as_posix()
        for result in read_result(path).results:
            values = result.to_dict()
            values["extra"] = {key: value for key, value in values["extra"].items() if key not in _TIMES}
            values.pop("seconds")
            found[f"{name}: {result.key}"] = values
    for path in sorted((folder / "run").rglob("*.safetensors")):
        if "distilled-adsa" not in path.parts:
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    for path in sorted((folder / "run").rglob("table.csv")):
        with path.open() as stream:
            found[path.relative_to(folder).as_posix()] = [
                {key: value for key, value in row.items() if "second" not in key.lower() and "time" not in key.lower()}
                for row in csv.DictReader(stream)
            ]
    found["files"] = files_of(folder)
    return found


def files_of(folder: Path) -> list[str]:
    """Everything that lies there, but for logs of what was stopped and the ranks' own records."""
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or is_litter(path)]
    return sorted(
        name for name in names if "/phases/" not in name and "/jobs/log/" not in name and not name.endswith(".log")
    )


def is_litter(path: Path) -> bool:
    """Of a folder: empty ones of claims and trainings that are over."""
    return path.name in ("unfinished", ".in-use") or path.name.endswith((".rows", ".tmp", ".lock"))


def report_of(folder: Path) -> dict[str, Any]:
    report = folder / "report"
    return {path.relative_to(report).as_posix(): path.read_bytes() for path in report.rglob("*") if path.is_file()}


def begun_by_hydra(folder: Path, process: int) -> bool:
    return bool(list((folder / "run").glob("config")) or list((folder / "run").glob("multirun.yaml")))


def draws(folder: Path, process: int) -> bool:
    """It has imported what draws figures, which it does on use."""
    return "ft2font" in Path(f"/proc/{process}/maps").read_text()


def has_report(folder: Path) -> list[str]:
    # The same for all: a report tells when its runs were made.
    runs = folder.parent / "runs"
    if not runs.exists():
        write_sweep(runs)
    return [str(runs), "--output", str(folder / "report")]


LT_TRAIN, LT_DISTILL = "lt_callbacks.apps.train.command", "lt_callbacks.apps.distill.command"

COMMANDS = {
    "lt-train": Command(
        LT_TRAIN,
        run_command("lt-train", *TRAIN, "methods=[ce,dsink]", "trainer.max_epochs=12", "save_networks=true"),
        results_of,
        begun_by_hydra,
    ),
    "lt-train, two ranks": Command(
        LT_TRAIN,
        run_command(
            "lt-train",
            *(*TRAIN, "methods=[ce,imbalance_teacher]", "trainer.max_epochs=12", "save_networks=true"),
            *("trainer.devices=2", "data.batch_size=64"),
        ),
        results_of,
        begun_by_hydra,
    ),
    "lt-distill": Command(
        LT_DISTILL,
        run_command("lt-distill", *SMALL_DISTILL, "methods=[networks,hard,adsa]"),
        results_of,
        begun_by_hydra,
    ),
    "lt-report": Command("lt_callbacks.apps.report.command", has_report, report_of, draws),
    "sweep": Command(
        LT_TRAIN,
        run_command(
            "lt-train", "-m", *TRAIN, "methods=[ce]", "noise.ratio=0.2,0.4,0.6", "trainer.max_epochs=8",
            "save_networks=true",
        ),
        results_of,
        begun_by_hydra,
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.timeout(10 * PATIENCE)
@pytest.mark.parametrize("name", COMMANDS)
def test_stopped_anywhere_and_started_again_a_command_ends_as_one_that_was_not(tmp_path, name, capsys):
    command, rng = COMMANDS[name], random.Random(name)
    whole = tmp_path / "whole"
    # Twice: the first time everything is read from the disk.
    for _ in range(2):
        started = time.monotonic()
        finish(command, whole)
        seconds = time.monotonic() - started
        expected = command.outcome(whole)
        whole = tmp_path / "whole again"
    assert len(expected) > 1

    stopped: dict[str, list[float]] = {stop.name: [] for stop in STOPS}
    num_kills = num_runs = 0
    while num_kills < NUM_KILLS:
        folder = tmp_path / f"stopped {num_runs}"
        num_runs += 1
        # Again and again in one folder, until it gets to its end.
        while num_kills < NUM_KILLS:
            stop, at = STOPS[num_kills % len(STOPS)], rng.uniform(0.0, seconds)
            if not stop_at(command, folder, stop, at):
                break
            stopped[stop.name].append(round(at, 1))
            num_kills += 1
        finish(command, folder)
        found = command.outcome(folder)
        assert found.keys() == expected.keys()
        assert [key for key in expected if found[key] != expected[key]] == []
        # Ranks, jobs and servers: nobody is left who would still write.
        wait_until(lambda folder=folder: not processes_of(folder))
    with capsys.disabled():
        print(f"\n{name}: {num_kills} stops of {seconds:.0f} s, {num_runs} runs: {stopped}")


def finish(command: Command, folder: Path) -> None:
    process = command.start(folder)
    _, complained = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, complained


def stop_at(command: Command, folder: Path, stop: signal.Signals, at: float) -> bool:
    """Start the command and stop it after so many seconds; False where it had ended by then."""
    process = command.start(folder)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=at)
    if stop == signal.SIGINT:
        # Python itself shows a trace while it loads what the command is made of.
        wait_until(lambda: process.poll() is not None or command.begun(folder, process.pid))
    has_ended = process.poll() is not None
    process.send_signal(stop)
    if stop == signal.SIGINT:
        time.sleep(0.1)
        process.send_signal(stop)
    _, complained = process.communicate(timeout=PATIENCE)
    if has_ended:
        assert process.returncode == 0, complained
        return False
    if stop == signal.SIGINT and process.returncode:
        assert process.returncode == 130, complained
        assert "Traceback" not in complained, complained
        assert sum(line.startswith("Stopped") for line in complained.splitlines()) == 1, complained
    return True


def processes_of(folder: Path) -> list[int]:
    """That were started for a folder, by whomever, and still run."""
    mark, found = f"{MARK}={folder}\0".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (place / "environ").read_bytes():
                found.append(int(place.name))
        except OSError:
            # Somebody else's, or gone.
            continue
    return found
