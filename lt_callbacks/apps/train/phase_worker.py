"""One rank of one training: ``python -m lt_callbacks.apps.train.phase_worker FOLDER``, started by a driver."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lt_callbacks._errors import ArgumentValueError, StateError, UserError
from lt_callbacks._files import write_json
from lt_callbacks.apps.config.build import build_datamodule, build_source
from lt_callbacks.apps.config.from_dict import config_from_dict
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.disk_failure import telling_disk_failures
from lt_callbacks.apps.shared.parent_watch import end_with_parent
from lt_callbacks.apps.shared.preemption import Preempted, Preemption
from lt_callbacks.apps.shared.quiet import be_quiet
from lt_callbacks.apps.train.fit import fit
from lt_callbacks.apps.train.phase import PHASE, PROGRESS_MARK, SAY_MARK, STOP, Phase
from lt_callbacks.apps.train.rank_signs import LifeSigns, leave_failure
from lt_callbacks.apps.train.runners import train_fresh, training_facts
from lt_callbacks.apps.train.teachers import StudyTeachers
from lt_callbacks.apps.train.trained_file import keep_trained
from lt_callbacks.apps.train.training import Trained, Training
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.methods import Classifier
from lt_callbacks.plugins import DSink, RankAgreement


def main(folder: Path) -> int:
    """Train, and say what a driver has to know; the exit code."""
    be_quiet()
    end_with_parent()
    content = json.loads((folder / PHASE).read_text())
    training: Any = Training(**{**content["training"], "folder": Path(content["training"]["folder"])})
    phase = Phase(config=config_from_dict(TrainConfig, content["config"]), training=training, facts=content["facts"])
    if phase.config.threads is not None:
        torch.set_num_threads(phase.config.threads)
    preemption = Preemption(file=folder / STOP)
    runner = _Ranks(phase, folder, preemption)
    try:
        with preemption.listening():
            datamodule = build_datamodule(phase.config, build_source(phase.config.data), seed=training.seed)
            teachers = StudyTeachers(
                phase.config,
                datamodule,
                seed=training.seed,
                progress=_NoProgress(),
                runner=_SettledBefore(phase),
            )
            dsink = teachers.dsink(training.method)
            classifier, trained = train_fresh(phase.config, training, datamodule, dsink=dsink, runner=runner)
            if runner.is_first:
                with telling_disk_failures(phase.config):
                    keep_trained(training, classifier.network, trained)
    except Preempted:
        # The observer of a launcher takes another rank's exit code for a failure, and kills the first.
        return Preempted.EXIT_CODE if runner.is_first else 0
    except UserError as error:
        print(error, flush=True)  # noqa: T201
        leave_failure(folder, rank=runner.rank, error=str(error))
        return 1
    except Exception as error:
        traceback.print_exc()
        leave_failure(folder, rank=runner.rank, error=f"{type(error).__name__}: {error}")
        return 1
    finally:
        if runner.life is not None:
            runner.life.stop()
    return 0


class _SettledBefore:
    """Trains no teacher: those of a phase were settled before its ranks started."""

    def __init__(self, phase: Phase) -> None:
        self.phase = phase

    def train(
        self, training: Training, classifier: Classifier, datamodule: LongTailedDataModule, *, dsink: DSink | None
    ) -> Trained:
        raise StateError(
            f"{training.name!r} must be finished before {self.phase.training.name!r} begins; it is not in the store "
            f"{self.phase.config.store!r}. Are all processes on one file system?"
        )


class _Ranks:
    """Trains the phase's training together with the other ranks, once all have the same facts."""

    def __init__(self, phase: Phase, folder: Path, preemption: Preemption) -> None:
        self.phase, self.folder, self.preemption = phase, folder, preemption
        self.is_first = True
        # Known once the ranks have met.
        self.rank: int | None = None
        self.life: LifeSigns | None = None

    def train(
        self, training: Training, classifier: Classifier, datamodule: LongTailedDataModule, *, dsink: DSink | None
    ) -> Trained:
        facts = {"config_hash": self.phase.hash, **training_facts(datamodule, dsink)}
        settings = {name: value for name, value in self.phase.to_dict()["config"].items() if name != "output"}
        return fit(
            self.phase.config,
            training,
            classifier,
            datamodule,
            dsink=dsink,
            progress=_Printed(),
            preemption=self.preemption,
            # The settings one by one: of two hashes nobody can tell what differs.
            extra=[_RankNumber(self), RankAgreement({**settings, **facts}), _RankRecord(self, facts)],
            say=_say,
        )


class _RankNumber(Callback):
    """Notes which rank this is once the ranks have met, and gives signs of life from then on."""

    def __init__(self, runner: _Ranks) -> None:
        self.runner = runner

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.runner.is_first, self.runner.rank = trainer.is_global_zero, trainer.global_rank
        self.runner.life = LifeSigns(self.runner.folder, rank=trainer.global_rank)
        self.runner.life.start()


class _RankRecord(Callback):
    """Leaves a file for each rank that says what it trained with."""

    def __init__(self, runner: _Ranks, facts: dict[str, Any]) -> None:
        self.runner, self.facts = runner, facts

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        for name, expected in self.runner.phase.facts.items():
            if self.facts[name] != expected:
                raise ArgumentValueError(
                    name,
                    rule=f"be that of the process that started the ranks, {expected!r}",
                    got=f"{self.facts[name]!r} on the ranks",
                    way_out="Are all processes on one file system, with the same data?",
                )
        write_json(
            self.runner.folder / f"rank-{trainer.global_rank}.json",
            {"rank": trainer.global_rank, "world_size": trainer.world_size, **self.facts},
        )


class _Printed(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            print(f"{PROGRESS_MARK}{trainer.current_epoch + 1} {trainer.max_epochs}", flush=True)  # noqa: T201


def _say(text: str) -> None:
    print(f"{SAY_MARK}{text}", flush=True)  # noqa: T201


class _NoProgress:
    """The driver shows it."""

    def skip(self, name: str, why: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass


def leave(code: int) -> None:
    """End this rank with the exit code, whatever its process group is still doing.

    Ranks fail while others are in the middle of a collective. The threads of such a group outlive the interpreter's
    teardown by a moment and may abort the process there, and the driver would read SIGABRT instead of the message.
    """
    if code == 0:
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    # Imported by name: what this module defines must not exist twice.
    from lt_callbacks.apps.train import phase_worker

    phase_worker.leave(phase_worker.main(Path(sys.argv[1])))
