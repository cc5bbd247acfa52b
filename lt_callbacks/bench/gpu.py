"""`lt-bench gpu`: everything on a GPU, in the order of what is worth most if the time runs out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from lt_callbacks._errors import StateError
from lt_callbacks.bench import adsa, loss, scaling, step, training, transport
from lt_callbacks.bench.document import BenchDocument
from lt_callbacks.bench.problems import all_problems, parse_problem
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
    plan = replace(plan, device="cuda")
    found: list[BenchDocument] = []
    kernel_problems = [parse_problem(name) for name in KERNEL_PROBLEMS]
    every = [*kernel_problems, *(problem for problem in all_problems() if problem not in kernel_problems)]
    for part in parts:
        say(f"== {part}")
        document: BenchDocument
        if part == "loss":
            document = loss.run(kernel_problems, plan, output=output, command=command, seed=seed, say=say)
        elif part in ("kernel", "transport"):
            chosen = kernel_problems if part == "kernel" else every
            # One document: the kernel's problems are among those of the full table.
            document = transport.run(
                chosen, plan, output=output, command=command, seed=seed, search_seconds=20.0, say=say
            )
        elif part == "step":
            settings = [
                step.StepSetting(
                    model=model, num_classes=classes, data=data, precision="bf16-mixed", teacher_steps=300, fit_steps=50
                )
                for model, classes in (("resnet32", 10), ("preact_resnet18", 10), ("resnet32", 100))
                if data is None or classes == 10
            ]
            document = step.run(settings, plan, output=output, command=command, seed=seed, trace=True, say=say)
        elif part == "training":
            setting = training.TrainingSetting(
                hyperparameters=Hyperparameters(epochs=training_epochs, learning_rate=0.02, workers=4),
                model="preact_resnet18",
                data=data,
                num_train=50_000,
                num_test=10_000,
                precision="bf16-mixed",
                channels_last=True,
            )
            document = training.run(
                setting, output=output, command=command, device="cuda", seeds=range(seed, seed + 1), say=say
            )
        elif part == "adsa":
            streams = [
                adsa.Stream(num_images, num_classes, batch_size=4096, device="cuda", seed=seed)
                for num_images, num_classes in ((50_000, 100), (50_000, 1000))
            ]
            document = adsa.run(streams, plan, output=output, command=command, say=say)
        else:
            document = scaling.run(
                list(scaling.AXES),
                plan,
                output=output,
                command=command,
                seed=seed,
                search_seconds=10.0,
                say=say,
            )
        found.append(document)
    # `kernel` and `transport` write the same one.
    return list({document.path: document for document in found}.values())
