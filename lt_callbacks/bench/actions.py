"""What each sub-command of `lt-bench` does with its options. Each loads only what it times."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentValueError

if TYPE_CHECKING:
    from lt_callbacks.bench.document import BenchDocument
    from lt_callbacks.bench.timing import TimingPlan


def _plan(arguments: argparse.Namespace) -> TimingPlan:
    from lt_callbacks.bench.timing import TimingPlan

    return TimingPlan(
        rounds=arguments.repeats,
        sample_seconds=arguments.sample_ms / 1e3,
        limit_seconds=arguments.limit_seconds,
        device=arguments.device,
    )


def _named(text: str) -> tuple[str, ...]:
    """The parts between semicolons: names of solvers and ways have commas in them."""
    return tuple(part.strip() for part in text.split(";") if part.strip())


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _transport(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench import transport
    from lt_callbacks.bench.problems import all_problems, parse_problem

    document = transport.run(
        [parse_problem(text) for text in _listed(arguments.problems or "")] or all_problems(),
        _plan(arguments),
        output=arguments.output,
        command=_as_typed(typed),
        seed=arguments.seed,
        only=_named(arguments.only),
        search_seconds=arguments.search_seconds,
        say=_say,
    )
    _finish(document)


def _scaling(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench import scaling

    names = [one_of("--axes", name, scaling.AXES) for name in _listed(arguments.axes)]
    document = scaling.run(
        names or list(scaling.AXES),
        _plan(arguments),
        output=arguments.output,
        command=_as_typed(typed),
        seed=arguments.seed,
        only=_named(arguments.only),
        search_seconds=arguments.search_seconds,
        points=[float(point) for point in _listed(arguments.points)],
        say=_say,
    )
    _finish(document)


def _loss(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench import loss
    from lt_callbacks.bench.problems import parse_problem

    document = loss.run(
        [parse_problem(text) for text in _listed(arguments.problems or ",".join(loss.PROBLEMS))],
        _plan(arguments),
        output=arguments.output,
        command=_as_typed(typed),
        seed=arguments.seed,
        say=_say,
    )
    _finish(document)


def _step(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench import step

    settings = [
        step.StepSetting(
            model=model,
            num_classes=int(classes),
            batch_size=arguments.batch_size,
            precision=arguments.precision,
            data=arguments.data,
            teacher_steps=arguments.teacher_steps,
            fit_steps=arguments.fit_steps,
        )
        for model in _listed(arguments.models)
        for classes in _listed(arguments.classes)
    ]
    document = step.run(
        settings,
        _plan(arguments),
        output=arguments.output,
        command=_as_typed(typed),
        seed=arguments.seed,
        trace=arguments.profile,
        say=_say,
    )
    _finish(document)


def _training(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench import training
    from lt_callbacks.bench.training_reference import Hyperparameters

    asked = [one_of("--ways", way, training.WAYS) for way in _named(arguments.ways)]
    setting = training.TrainingSetting(
        hyperparameters=Hyperparameters(
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            workers=arguments.workers,
        ),
        model=arguments.model,
        data=arguments.data,
        num_classes=arguments.classes,
        num_train=arguments.num_train,
        num_test=arguments.num_test,
        precision=arguments.precision,
        channels_last=arguments.channels_last,
    )
    document = training.run(
        setting,
        output=arguments.output,
        command=_as_typed(typed),
        device=arguments.device,
        seeds=range(arguments.seed, arguments.seed + arguments.repeats),
        ways=asked or training.WAYS,
        say=_say,
    )
    _finish(document)


def _adsa(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench import adsa

    sizes = [_size(text) for text in _listed(arguments.streams)]
    streams = [
        adsa.Stream(
            num_images,
            num_classes,
            batch_size=arguments.batch_size,
            step=arguments.step,
            device=arguments.device,
            seed=arguments.seed,
        )
        for num_images, num_classes in sizes
    ]
    document = adsa.run(streams, _plan(arguments), output=arguments.output, command=_as_typed(typed), say=_say)
    _finish(document)


def _size(text: str) -> tuple[int, int]:
    parts = text.split("x")
    if (
        len(parts) != 2
        or not all(part.isdigit() for part in parts)
        or int(parts[0]) < int(parts[1])
        or int(parts[1]) < 2
    ):
        raise ArgumentValueError(
            "--streams",
            rule="be sizes NxC with at least two classes and an image of each",
            got=repr(text),
            way_out="Write 10000x100, for example.",
        )
    return int(parts[0]), int(parts[1])


def _gpu(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench import gpu

    parts = [one_of("--parts", part, gpu.PARTS) for part in _listed(arguments.parts)]
    documents = gpu.run(
        _plan(arguments),
        output=arguments.output,
        command=_as_typed(typed),
        seed=arguments.seed,
        parts=parts or gpu.PARTS,
        data=arguments.data,
        training_epochs=arguments.epochs,
        say=_say,
    )
    for document in documents:
        _finish(document)


def _plot(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench.document import read_bench
    from lt_callbacks.bench.show import show

    for path in arguments.files:
        content = read_bench(path)
        try:
            show(content, arguments.output or path.parent)
        # Measurements have entries of their own for each kind, which only its tables and figures know.
        except (LookupError, TypeError, AttributeError, ArithmeticError) as error:
            why = f"{type(error).__name__}: {error}"
            raise ArgumentValueError(
                "FILE",
                rule="hold whole measurements of a kind that lt-bench makes",
                got=f"{path} of kind {content['kind']!r}, whose tables cannot be made ({why})",
                way_out="Restore it, or measure again.",
            ) from error


def _finish(document: BenchDocument) -> None:
    from lt_callbacks.bench.show import show

    show(document.content, document.path.parent)
    sys.stdout.write(f"{document.path}\n")


def _as_typed(typed: Sequence[str]) -> str:
    """The command as somebody else would type it: without the folder, which is only this machine's."""
    kept, skips = [], False
    for part in typed:
        if not skips and not part.startswith("--output"):
            kept.append(part)
        skips = part == "--output"
    return " ".join(["lt-bench", *kept])


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


#: Sub-command -> what it does with its options and with the words that were typed.
ACTIONS: dict[str, Callable[[argparse.Namespace, list[str]], None]] = {
    "transport": _transport,
    "scaling": _scaling,
    "loss": _loss,
    "step": _step,
    "training": _training,
    "adsa": _adsa,
    "gpu": _gpu,
    "plot": _plot,
}
