"""The options of `lt-bench`, which are told without loading what they are about. Standard library only."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def command_parser() -> argparse.ArgumentParser:
    """The parser of the command line; ``action`` of what it returns is the sub-command."""
    parser = argparse.ArgumentParser(
        prog="lt-bench",
        description="Time this package beside other ways to do the same, in one run: tables, JSON, figures. A run that "
        "was stopped goes on where it was, with the same settings.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="action")
    for add in (_add_transport, _add_scaling, _add_loss, _add_step, _add_training, _add_adsa, _add_gpu, _add_plot):
        add(commands)
    return parser


def _add_transport(commands: Any) -> None:
    parser = _command(commands, "transport", "Sinkhorn solvers to one accuracy, on 24 problems")
    _timing(parser)
    parser.add_argument(
        "--problems", metavar="MODE:NxC:S,...", help="such as corr:128x10:1,random:512x100:8 (default: all 24)"
    )
    _solvers(parser, default="all")


def _add_scaling(commands: Any) -> None:
    parser = _command(commands, "scaling", "time and memory of Sinkhorn solvers by N, C and sharpness")
    _timing(parser)
    parser.add_argument(
        "--axes",
        metavar="NAME,...",
        default="",
        help="rows, classes, sharpness, sharpness-tv, memory (default: all)",
    )
    parser.add_argument("--points", metavar="X,...", default="", help="places on the axes (default: all)")
    _solvers(parser, default="ours, the best peers, naive")


def _add_loss(commands: Any) -> None:
    parser = _command(commands, "loss", "from three models' predictions to the gradient, without networks")
    _timing(parser)
    parser.add_argument("--problems", metavar="corr:NxC:S,...", help="default: corr:128x10:3,corr:128x100:8")


def _add_step(commands: Any) -> None:
    parser = _command(commands, "step", "one training step with and without D-SINK")
    _timing(parser)
    _training_data(parser, batch_size=128)
    parser.add_argument("--models", metavar="NAME,...", default="resnet8_half", help="networks (default: resnet8_half)")
    parser.add_argument("--classes", metavar="C,...", default="10", help="of made-up images (default: 10)")
    parser.add_argument("--teacher-steps", type=int, default=60, help="that teachers are trained for (default: 60)")
    parser.add_argument("--fit-steps", type=int, default=8, help="of each fit in Trainer.fit; 0: none (default: 8)")
    parser.add_argument("--profile", action="store_true", help="leave a trace of three D-SINK steps, for Perfetto")


def _add_training(commands: Any) -> None:
    parser = _command(commands, "training", "two teachers and a D-SINK student, beside a script written by hand")
    _training_data(parser, batch_size=64)
    parser.add_argument("--repeats", type=_at_least_one, default=3, help="seeds, from --seed on (default: 3)")
    parser.add_argument("--ways", metavar="NAME;...", default="", help="separated by semicolons (default: all three)")
    parser.add_argument("--model", default="small_cnn", help="network of all three (default: small_cnn)")
    parser.add_argument("--epochs", type=_at_least_one, default=8, help="of each of the three (default: 8)")
    parser.add_argument("--classes", type=int, default=10, help="of made-up images (default: 10)")
    parser.add_argument("--num-train", type=_at_least_one, default=4000, help="made-up images (default: 4000)")
    parser.add_argument("--num-test", type=_at_least_one, default=1000, help="made-up test images (default: 1000)")
    parser.add_argument("--learning-rate", type=float, default=0.02, help="peak (default: 0.02)")
    parser.add_argument("--workers", type=int, default=2, help="that load images for the script (default: 2)")
    parser.add_argument("--channels-last", action="store_true", help="memory format of our trainings")


def _add_adsa(commands: Any) -> None:
    parser = _command(commands, "adsa", "the streaming fit of tau beside a search over a grid")
    _timing(parser)
    parser.add_argument(
        "--streams", metavar="NxC,...", default="10000x100,20000x1000", help="images x classes (default: %(default)s)"
    )
    parser.add_argument("--batch-size", type=_at_least_one, default=1024, help="default: 1024")
    parser.add_argument("--step", type=float, default=0.05, help="of the grid from -1 to 4 (default: 0.05)")


def _add_gpu(commands: Any) -> None:
    parser = _command(commands, "gpu", "all of these on a GPU; exit code 2 where there is none")
    _timing(parser)
    parser.set_defaults(device="cuda")
    parser.add_argument("--data", metavar="PATH", help="as for step and training")
    parser.add_argument(
        "--parts", metavar="NAME,...", default="", help="loss,kernel,step,training,transport,adsa,scaling: all"
    )
    parser.add_argument(
        "--epochs", type=_at_least_one, default=10, help="of each network of the training (default: 10)"
    )


def _add_plot(commands: Any) -> None:
    parser = commands.add_parser("plot", help="tables and figures of JSON files anew", description="Draw anew.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="document of lt-bench")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for figures (default: beside each FILE)")


def _command(commands: Any, name: str, about: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=about, description=about[0].upper() + about[1:])
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
