"""The command ``lt-predict``. Its help is shown before torch is imported."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lt_callbacks.apps.config.errors import CommandError, named, without_trace
from lt_callbacks.apps.config.interrupts import ended_by_interrupt

_NAMES = {
    "folder": "MODEL",
    "images": "IMAGES",
    "root": "--root",
    "top": "--top",
    "device": "--device",
    "batch_size": "--batch-size",
    "num_workers": "--num-workers",
    "output": "--output",
}


@ended_by_interrupt()
def main(argv: Sequence[str] | None = None) -> int:
    """Run ``lt-predict MODEL IMAGES [--output FILE] [--top K] ...``; returns the exit code.

    0: every picture has its prediction. 1: some could not be read. 2: nothing was done.
    """
    arguments = _parser().parse_args(argv)
    try:
        with without_trace(), named(_NAMES):
            # Takes seconds, which the help need not wait for.
            from lt_callbacks.apps.predict.run import run

            unread = run(
                arguments.model,
                arguments.images,
                output=arguments.output,
                root=arguments.root,
                top=arguments.top,
                has_all=arguments.all,
                batch_size=arguments.batch_size,
                num_workers=arguments.num_workers,
                device=arguments.device,
            )
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 1 if unread else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lt-predict", description="Classify pictures with the network that lt-train left in model/."
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder model/ of a finished run of lt-train")
    parser.add_argument(
        "images",
        type=Path,
        metavar="IMAGES",
        help="a folder of pictures, searched to any depth; one picture; or a CSV file with a column 'path'",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        default=Path("predictions.csv"),
        help="CSV file of path, class, probability (default: predictions.csv)",
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="FOLDER",
        help="what relative paths in a CSV file start from (default: its own folder, which they may then not leave)",
    )
    parser.add_argument(
        "--top", type=int, metavar="K", default=1, help="classes of each picture, the likeliest first (default: 1)"
    )
    parser.add_argument("--all", action="store_true", help="add a column for the probability of every class")
    parser.add_argument("--batch-size", type=int, metavar="N", default=64, help="pictures at once (default: 64)")
    parser.add_argument(
        "--num-workers", type=int, metavar="N", default=2, help="processes that read pictures (default: 2)"
    )
    parser.add_argument("--device", default="cpu", help="where the network runs, such as cuda (default: cpu)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
