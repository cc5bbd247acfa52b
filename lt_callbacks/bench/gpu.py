"""`lt-bench gpu`: everything on a GPU, in the order of what is worth most if the time runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lt_callbacks._errors import StateError
from lt_callbacks.bench import adsa, loss, scaling, step, training, transport
from lt_callbacks.bench.document import BenchDocument
from lt_callbacks.bench.problems import Problem, all_problems, parse_problem
from lt_callbacks.bench.timing import TimingPlan
from lt_callbacks.bench.training_reference import Hyperparameters

#: Problems of a training step, which the fused kernel is made for; they come first.
KERNEL_PROBLEMS = ("corr:128x10:3", "corr:128x100:8")

PARTS = ("loss", "kernel", "step", "training", "transport", "adsa", "scaling")


def check_device() -> None:
    """Refuse to go on where torch finds no GPU.

    Raises:
        RuntimeError: There is none.
    """
    if not torch.cuda.is_available():
        raise StateError(
            "`--device` must be one that torch finds; got cuda, and there is no CUDA device. Use --device cpu, or run "
            "this on a machine with a GPU."
        )


def run(
    plan: TimingPlan,
    *,
    output: Path,
    command: str,
    seed: int,
    parts: Sequence[str] = PARTS,
    data: str | None = None,
    training_epochs: int = 10,
    say: Callable[[str], None] = lambda _: None,
) -> list[BenchDocument]:
    """Run the benchmarks on a GPU, each into its own document in ``output``; what is there already is kept.

    Args:
        plan: How it is timed; on CUDA.
        output: Folder.
        command: As typed.
        seed: Of everything.
        parts: Names out of `PARTS`.
        data: CIFAR folder or arrays for training; None: made-up images.
        training_epochs: Of each network of the training.
        say: Is told what is going on.
    """
    check_device()
    benchmarks = _Benchmarks(
        plan=replace(plan, device="cuda"),
        data=data,
        training_epochs=training_epochs,
        common={"output": output, "command": command, "say": say},
        seed=seed,
    )
    found: list[BenchDocument] = []
    for part in parts:
        say(f"== {part}")
        found.append(getattr(benchmarks, part)())
    # `kernel` and `transport` write the same one.
    return list({document.path: document for document in found}.values())


@dataclass(frozen=True, kw_only=True)
class _Benchmarks:
    """A method for each of `PARTS`."""

    plan: TimingPlan
    data: str | None
    training_epochs: int
    common: dict[str, Any]
    seed: int

    def loss(self) -> BenchDocument:
        return loss.run(_kernel_problems(), self.plan, seed=self.seed, **self.common)

    def kernel(self) -> BenchDocument:
        return self._transport(_kernel_problems())

    def transport(self) -> BenchDocument:
        first = _kernel_problems()
        return self._transport([*first, *(problem for problem in all_problems() if problem not in first)])

    def _transport(self, problems: list[Problem]) -> BenchDocument:
        # One document: the kernel's problems are among those of the full table.
        return transport.run(problems, self.plan, seed=self.seed, search_seconds=20.0, **self.common)

    def step(self) -> BenchDocument:
        settings = [
            step.StepSetting(
                model=model,
                num_classes=classes,
                data=self.data,
                precision="bf16-mixed",
                teacher_steps=300,
                fit_steps=50,
            )
            for model, classes in (("resnet32", 10), ("preact_resnet18", 10), ("resnet32", 100))
            if self.data is None or classes == 10
        ]
        return step.run(settings, self.plan, seed=self.seed, trace=True, **self.common)

    def training(self) -> BenchDocument:
        setting = training.TrainingSetting(
            hyperparameters=Hyperparameters(epochs=self.training_epochs, learning_rate=0.02, workers=4),
            model="preact_resnet18",
            data=self.data,
            num_train=50_000,
            num_test=10_000,
            precision="bf16-mixed",
            channels_last=True,
        )
        return training.run(setting, device="cuda", seeds=[self.seed], **self.common)

    def adsa(self) -> BenchDocument:
        streams = [
            adsa.Stream(num_images, num_classes, batch_size=4096, device="cuda", seed=self.seed)
            for num_images, num_classes in ((50_000, 100), (50_000, 1000))
        ]
        return adsa.run(streams, self.plan, **self.common)

    def scaling(self) -> BenchDocument:
        return scaling.run(list(scaling.AXES), self.plan, seed=self.seed, search_seconds=10.0, **self.common)


def _kernel_problems() -> list[Problem]:
    return [parse_problem(name) for name in KERNEL_PROBLEMS]
