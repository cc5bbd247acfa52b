from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Neither torch nor numpy may be loaded here: they read the number of threads when they are.
from lt_callbacks.bench.threads import limit_threads

if TYPE_CHECKING:
    from lt_callbacks.bench.document import BenchDocument
    from lt_callbacks.bench.timing import TimingPlan


def main(argv: Sequence[str] | None = None) -> int:
    """``lt-bench {transport,...} [options]``; returns the exit code."""
    typed = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(typed)
    limit_threads(getattr(arguments, "threads", 1), device=getattr(arguments, "device", "cpu"))
    from lt_callbacks.apps.config.errors import CommandError, without_trace

    try:
        with without_trace():
            if getattr(arguments, "device", "cpu") == "cuda":
                from lt_callbacks.bench.gpu import check_device

                check_device()
            arguments.action(arguments, typed)
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lt-bench",
        description="Time this package beside other ways to do the same, in one run: tables, JSON, figures. A run that "
        "was stopped goes on where it was, with the same settings.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    transport = _command(commands, "transport", _transport, "Sinkhorn solvers to one accuracy, on 24 problems")
    _timing(transport)
    transport.add_argument(
        "--cells", metavar="MODE:NxC:S,...", help="problems, such as corr:128x10:1,random:512x100:8 (default: all 24)"
    )
    _solvers(transport, default="all")
    scaling = _command(commands, "scaling", _scaling, "time and memory of Sinkhorn solvers by N, C and sharpness")
    _timing(scaling)
    scaling.add_argument(
        "--axes",
        metavar="NAME,...",
        default="",
        help="rows, classes, sharpness, sharpness-tv, memory (default: all)",
    )
    scaling.add_argument("--points", metavar="X,...", default="", help="places on the axes (default: all)")
    _solvers(scaling, default="ours, the best peers, naive")
    loss = _command(commands, "loss", _loss, "from three models' predictions to the gradient, without networks")
    _timing(loss)
    loss.add_argument("--cells", metavar="corr:NxC:S,...", help="problems (default: corr:128x10:3,corr:128x100:8)")
    step = _command(commands, "step", _step, "one training step with and without D-SINK")
    _timing(step)
    _training_data(step, batch_size=128)
    step.add_argument("--models", metavar="NAME,...", default="resnet8_half", help="networks (default: resnet8_half)")
    step.add_argument("--classes", metavar="C,...", default="10", help="of made-up images (default: 10)")
    step.add_argument("--teacher-steps", type=int, default=60, help="that teachers are trained for (default: 60)")
    step.add_argument("--fit-steps", type=int, default=8, help="of each fit in Trainer.fit; 0: none (default: 8)")
    step.add_argument("--profile", action="store_true", help="leave a trace of three D-SINK steps, for Perfetto")
    cell = _command(commands, "cell", _cell, "two teachers and a D-SINK student, beside a script written by hand")
    _training_data(cell, batch_size=64)
    cell.add_argument("--repeats", type=_at_least_one, default=3, help="seeds, from --seed on (default: 3)")
    cell.add_argument("--ways", metavar="NAME;...", default="", help="separated by semicolons (default: all three)")
    cell.add_argument("--model", default="small_cnn", help="network of all three (default: small_cnn)")
    cell.add_argument("--epochs", type=_at_least_one, default=8, help="of each of the three (default: 8)")
    cell.add_argument("--classes", type=int, default=10, help="of made-up images (default: 10)")
    cell.add_argument("--num-train", type=_at_least_one, default=4000, help="made-up images (default: 4000)")
    cell.add_argument("--num-test", type=_at_least_one, default=1000, help="made-up test images (default: 1000)")
    cell.add_argument("--learning-rate", type=float, default=0.02, help="peak (default: 0.02)")
    cell.add_argument("--workers", type=int, default=2, help="that load images for the script (default: 2)")
    cell.add_argument("--channels-last", action="store_true", help="memory format of our trainings")
    adsa = _command(commands, "adsa", _adsa, "the streaming fit of tau beside a search over a grid")
    _timing(adsa)
    adsa.add_argument(
        "--streams", metavar="NxC,...", default="10000x100,20000x1000", help="images x classes (default: %(default)s)"
    )
    adsa.add_argument("--batch-size", type=_at_least_one, default=1024, help="default: 1024")
    adsa.add_argument("--step", type=float, default=0.05, help="of the grid from -1 to 4 (default: 0.05)")
    gpu = _command(commands, "gpu", _gpu, "all of these on a GPU; exit code 2 where there is none")
    _timing(gpu)
    gpu.set_defaults(device="cuda")
    gpu.add_argument("--data", metavar="PATH", help="as for step and cell")
    gpu.add_argument(
        "--parts", metavar="NAME,...", default="", help="loss,kernel,step,cell,transport,adsa,scaling: all"
    )
    gpu.add_argument("--epochs", type=_at_least_one, default=10, help="of each network of the cell (default: 10)")
    plot = commands.add_parser("plot", help="tables and figures of JSON files anew", description="Draw anew.")
    plot.set_defaults(action=_plot)
    plot.add_argument("files", nargs="+", type=Path, metavar="FILE", help="document of lt-bench")
    plot.add_argument("--output", type=Path, metavar="FOLDER", help="for figures (default: beside each FILE)")
    return parser


def _command(
    commands: Any, name: str, action: Callable[[argparse.Namespace, list[str]], None], about: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about[0].upper() + about[1:])
    parser.set_defaults(action=action)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="for JSON and figures")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=_at_least_one, default=1, help="of all libraries on the CPU (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="of data and weights (default: 0)")
    return parser


def _timing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repeats", type=_at_least_one, default=15, help="rounds, in each of which all take a turn (default: 15)"
    )
    parser.add_argument(
        "--sample-ms", type=float, default=20.0, help="a sample repeats its call for so long at least (default: 20)"
    )
    parser.add_argument(
        "--limit-seconds",
        type=float,
        default=30.0,
        help="after so long a slow one sits out, with three samples at least (default: 30)",
    )


def _solvers(parser: argparse.ArgumentParser, *, default: str) -> None:
    parser.add_argument(
        "--only",
        metavar="NAME;...",
        default="",
        help=f"solvers whose names begin so, separated by semicolons (default: {default})",
    )
    parser.add_argument(
        "--search-seconds",
        type=float,
        default=60.0,
        help="for finding how many iterations a peer needs, before the timing (default: 60)",
    )


def _training_data(parser: argparse.ArgumentParser, *, batch_size: int) -> None:
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="folder of CIFAR-10 or CIFAR-100 as torchvision lays it out, or an .npz file (default: made-up images)",
    )
    parser.add_argument("--batch-size", type=_at_least_one, default=batch_size, help="default: %(default)s")
    parser.add_argument(
        "--precision", choices=("32-true", "bf16-mixed"), default="32-true", help="of our trainings (default: 32-true)"
    )


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be >= 1; got {number}")
    return number


def _plan(arguments: argparse.Namespace) -> TimingPlan:
    from lt_callbacks.bench.timing import TimingPlan

    return TimingPlan(
        rounds=arguments.repeats,
        sample_seconds=arguments.sample_ms / 1e3,
        limit_seconds=arguments.limit_seconds,
        device=arguments.device,
    )


def _named(text: str) -> tuple[str, ...]:
    """Names of solvers and ways have commas in them."""
    return tuple(part.strip() for part in text.split(";") if part.strip())


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _transport(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench import transport
    from lt_callbacks.bench.problems import all_cells, parse_cell

    document = transport.run(
        [parse_cell(text) for text in _listed(arguments.cells or "")] or all_cells(),
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
    from lt_callbacks._checks import one_of
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
    from lt_callbacks.bench.problems import parse_cell

    document = loss.run(
        [parse_cell(text) for text in _listed(arguments.cells or ",".join(loss.CELLS))],
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
        step.Setting(
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


def _cell(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks._checks import one_of
    from lt_callbacks.bench import cell
    from lt_callbacks.bench.cell_reference import CellSettings

    asked = [one_of("--ways", way, cell.WAYS) for way in _named(arguments.ways)]
    setting = cell.CellSetting(
        common=CellSettings(
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
    document = cell.run(
        setting,
        output=arguments.output,
        command=_as_typed(typed),
        device=arguments.device,
        seeds=range(arguments.seed, arguments.seed + arguments.repeats),
        ways=asked or cell.WAYS,
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
        raise ValueError(
            f"`--streams` must be sizes NxC with at least two classes and an image of each; got {text!r}. Write "
            "10000x100, for example."
        )
    return int(parts[0]), int(parts[1])


def _gpu(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks._checks import one_of
    from lt_callbacks.bench import gpu

    parts = [one_of("--parts", part, gpu.PARTS) for part in _listed(arguments.parts)]
    documents = gpu.run(
        _plan(arguments),
        output=arguments.output,
        command=_as_typed(typed),
        seed=arguments.seed,
        parts=parts or gpu.PARTS,
        data=arguments.data,
        cell_epochs=arguments.epochs,
        say=_say,
    )
    for document in documents:
        _finish(document)


def _plot(arguments: argparse.Namespace, typed: list[str]) -> None:
    from lt_callbacks.bench.document import read_bench
    from lt_callbacks.bench.show import show

    for path in arguments.files:
        show(read_bench(path), arguments.output or path.parent)


def _finish(document: BenchDocument) -> None:
    from lt_callbacks.bench.show import show

    show(document.content, document.path.parent)
    sys.stdout.write(f"{document.path}\n")


def _as_typed(typed: Sequence[str]) -> str:
    """Without the folder, which is only this machine's."""
    kept, skips = [], False
    for part in typed:
        if not skips and not part.startswith("--output"):
            kept.append(part)
        skips = part == "--output"
    return " ".join(["lt-bench", *kept])


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
