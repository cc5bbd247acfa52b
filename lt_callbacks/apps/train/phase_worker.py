"""One rank of one training: ``python -m lt_callbacks.apps.train.phase_worker FOLDER``, started by a driver."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lt_callbacks._files import write_json
from lt_callbacks.apps.config.build import build_source
from lt_callbacks.apps.config.errors import is_spoken
from lt_callbacks.apps.config.from_dict import config_from_dict
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.parent_watch import end_with_parent
from lt_callbacks.apps.shared.preemption import Preempted, Preemption
from lt_callbacks.apps.shared.quiet import be_quiet
from lt_callbacks.apps.train.fit import Trained, Training, fit
from lt_callbacks.apps.train.phase import PHASE, PROGRESS_MARK, STOP, Phase, write_outcome
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.plugins import RankAgreement


def main(folder: Path) -> int:
    """Train, and say what a driver has to know; the exit code."""
    be_quiet()
    end_with_parent()
    content = json.loads((folder / PHASE).read_text())
    training: Any = Training(**{**content["training"], "folder": Path(content["training"]["folder"])})
    phase = Phase(config=config_from_dict(TrainConfig, content["config"]), training=training, facts=content["facts"])
    if phase.config.threads is not None:
        torch.set_num_threads(phase.config.threads)
    try:
        with Preemption(file=folder / STOP).listening() as preemption:
            runner = _OneTraining(phase, folder, preemption)
            quiet: Any = _NoProgress()
            study = SeedStudy(phase.config, build_source(phase.config.data), training.seed, quiet, runner=runner)
            classifier, trained = study.train(training)
    except Preempted:
        # The observer of a launcher takes another rank's exit code for a failure, and kills the first.
        return Preempted.EXIT_CODE if runner.is_first else 0
    except Exception as error:
        if not is_spoken(error):
            raise
        print(error, flush=True)  # noqa: T201
        return 1
    if runner.is_first:
        write_outcome(folder, classifier.network, trained)
    return 0


class _OneTraining:
    """A study's runner that trains the phase's training and no other: its teachers were settled before."""

    def __init__(self, phase: Phase, folder: Path, preemption: Preemption) -> None:
        self.phase, self.folder, self.preemption = phase, folder, preemption
        self.is_first = True

    def train(self, study: SeedStudy, training: Training, classifier: Any) -> Trained:
        if training != self.phase.training:
            raise RuntimeError(
                f"{training.name!r} must be finished before {self.phase.training.name!r} begins; it is not in the "
                f"store {study.config.store!r}. Are all processes on one file system?"
            )
        facts = {"config_hash": self.phase.hash, **study.facts(training)}
        settings = {name: value for name, value in self.phase.to_dict()["config"].items() if name != "output"}
        return fit(
            self.phase.config,
            training,
            classifier,
            study.datamodule,
            dsink=study.dsink(training),
            progress=_Printed(),
            preemption=self.preemption,
            # The settings one by one: of two hashes nobody can tell what differs.
            extra=[RankAgreement({**settings, **facts}), _RankRecord(self, facts)],
        )


class _RankRecord(Callback):
    """Leaves a file for each rank that says what it trained with."""

    def __init__(self, runner: _OneTraining, facts: dict[str, Any]) -> None:
        self.runner, self.facts = runner, facts

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.runner.is_first = trainer.is_global_zero
        for name, expected in self.runner.phase.facts.items():
            if self.facts[name] != expected:
                raise ValueError(
                    f"`{name}` must be that of the process that started the ranks, {expected!r}; the ranks have "
                    f"{self.facts[name]!r}. Are all processes on one file system, with the same data?"
                )
        write_json(
            self.runner.folder / f"rank-{trainer.global_rank}.json",
            {"rank": trainer.global_rank, "world_size": trainer.world_size, **self.facts},
        )


class _Printed(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            print(f"{PROGRESS_MARK}{trainer.current_epoch + 1} {trainer.max_epochs}", flush=True)  # noqa: T201


class _NoProgress:
    """The driver shows it."""

    def skip(self, name: str, why: str) -> None:
        pass

    def say(self, text: str) -> None:
        pass


if __name__ == "__main__":
    # Imported by name: what this module defines must not exist twice.
    from lt_callbacks.apps.train import phase_worker

    sys.exit(phase_worker.main(Path(sys.argv[1])))
