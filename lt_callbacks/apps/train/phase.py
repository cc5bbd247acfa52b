from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from lt_callbacks._errors import StateError
from lt_callbacks._files import canonical_json, sha256, write_json
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.drivers import Drivers
from lt_callbacks.apps.shared.preemption import Preempted, Preemption
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.train.rank_processes import SECONDS_TO_END, end_session, said_lines
from lt_callbacks.apps.train.rank_signs import SECONDS_OF_SILENCE, RankSigns, clear_signs, first_failure
from lt_callbacks.apps.train.trained_file import take_trained
from lt_callbacks.apps.train.training import Trained, Training

PHASE = "phase.json"
STOP = "stop"
_LOG = "log.txt"

#: Seconds that ranks have for their checkpoint where the command itself is interrupted.
SECONDS_TO_SAVE = 60.0

#: What a phase's first rank prints when an epoch is done, and before what a person is to read.
PROGRESS_MARK = "@epoch "
SAY_MARK = "@say "


@dataclass(frozen=True)
class Phase:
    """One training in processes of its own: everything that they are told, from one file.

    Attributes:
        config: The run's settings.
        training: Which training of the run.
        facts: What the first driver knows of the training's inputs; every rank must come to the same.
    """

    config: TrainConfig
    training: Training
    facts: dict[str, Any]

    @property
    def hash(self) -> str:
        """64 hexadecimal digits of everything that the ranks are told; equal on all of them."""
        return sha256(canonical_json(self.to_dict()))

    def to_dict(self) -> dict[str, Any]:
        """The phase as JSON holds it."""
        training = {**asdict(self.training), "folder": str(self.training.folder)}
        return {"config": asdict(self.config), "training": training, "facts": self.facts}


class PhaseRunner:
    """Trains in a process group of its own, which this process, its driver, starts and waits for.

    Args:
        drivers: This one and the others.
        folder: For the files of the phases.
        progress: Where to show it.
        preemption: Whether to stop.
    """

    def __init__(self, *, drivers: Drivers, folder: Path, progress: RunProgress, preemption: Preemption) -> None:
        self.drivers, self.folder, self.progress, self.preemption = drivers, folder, progress, preemption

    def train(self, phase: Phase, network: nn.Module) -> Trained:
        """Have ``phase`` trained and its weights in ``network``.

        Raises:
            Preempted: It was asked to stop.
            RuntimeError: A rank failed.
        """
        training = phase.training
        folder = (self.folder / f"{training.method or training.group}-seed{training.seed}").resolve()
        (folder / STOP).unlink(missing_ok=True)
        clear_signs(folder)
        # Another driver may have another working directory.
        placed = replace(phase, training=replace(training, folder=training.folder.resolve()))
        write_json(folder / PHASE, placed.to_dict())
        environment = self.drivers.announce({"folder": str(folder)})
        with self.progress.training(training.name):
            run_ranks(folder, environment, self.preemption, on_epoch=self._show(training.name), say=self.progress.say)
        clear_signs(folder)
        trained = take_trained(training.folder, network)
        if trained is None:
            raise StateError(
                f"The processes of the training in {str(folder)!r} must leave what they trained in "
                f"{str(training.folder)!r}; it is not there. Are all processes on one file system?"
            )
        return trained

    def _show(self, name: str) -> Any:
        return lambda done, total: self.progress.advance(name, done, total)


def follow(drivers: Drivers, preemption: Preemption) -> None:
    """Start this driver's ranks of each training that the first driver announces, until that one ends.

    Raises:
        RuntimeError: A rank, or the first driver, failed.
    """
    while (announced := drivers.next_phase()) is not None:
        folder = Path(announced["folder"])
        run_ranks(folder, drivers.variables(announced["port"]), preemption, rank=drivers.rank)


def run_ranks(
    folder: Path,
    environment: Mapping[str, str],
    preemption: Preemption,
    *,
    on_epoch: Callable[[int, int], None] | None = None,
    rank: int = 0,
    say: Callable[[str], None] | None = None,
    silence: float = SECONDS_OF_SILENCE,
) -> None:
    """Start this driver's processes of a phase, and wait for them; none outlives this call.

    Args:
        folder: Of the phase.
        environment: Of the processes.
        preemption: Whether to stop.
        on_epoch: Called with epochs done and epochs to do.
        rank: Of this driver.
        say: Where to report a rank that was stopped; None: nowhere.
        silence: Seconds without a sign of life after which it is.

    Raises:
        Preempted: They were asked to stop, and did.
        RuntimeError: One failed; names the one that failed first, also where another driver started it.
    """
    log = folder / (_LOG if rank == 0 else f"log-{rank}.txt")
    command = [sys.executable, "-m", "lt_callbacks.apps.train.phase_worker", str(folder)]
    # A session of its own: the interrupt of a terminal reaches the driver alone, which has the ranks save first.
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    signs = RankSigns(folder, say=say, silence=silence)
    try:
        with preemption.passed_on(folder / STOP), log.open("a") as stream:
            for line in said_lines(process, look=signs.look, has_failed=lambda: first_failure(folder) is not None):
                if line.startswith(PROGRESS_MARK):
                    done, total = line.removeprefix(PROGRESS_MARK).split()
                    if on_epoch is not None:
                        on_epoch(int(done), int(total))
                elif line.startswith(SAY_MARK):
                    if say is not None:
                        say(line.removeprefix(SAY_MARK).rstrip("\n"))
                else:
                    stream.write(line)
                    stream.flush()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=SECONDS_TO_END)
        end_session(process)
        code = process.wait()
    except BaseException:
        _stop(process, folder)
        raise
    if code == Preempted.EXIT_CODE:
        raise Preempted("asked to stop")
    if code:
        said = f"A process of the training in {str(folder)!r} failed with exit code {code}: {_last_line(log)}"
        raise StateError(f"{(first_failure(folder) or said).rstrip('.')}. The whole story is in {str(log)!r}.")


def _stop(process: subprocess.Popen[str], folder: Path) -> None:
    """Let the ranks save and end; kill those that do not, as a stopped one cannot."""
    (folder / STOP).touch()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=SECONDS_TO_SAVE)
    end_session(process)
    process.wait()


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing."
