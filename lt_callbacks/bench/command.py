"""`lt-bench`: time this package beside other ways to do the same."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# Neither torch nor numpy may be loaded here: they read the number of threads when they are.
from lt_callbacks._errors import UserError
from lt_callbacks.apps.config.interrupts import ended_by_interrupt
from lt_callbacks.bench.options import command_parser
from lt_callbacks.bench.threads import limit_threads


@ended_by_interrupt()
def main(argv: Sequence[str] | None = None) -> int:
    """Run ``lt-bench {transport,...} [options]``; returns the exit code."""
    typed = list(sys.argv[1:] if argv is None else argv)
    arguments = command_parser().parse_args(typed)
    limit_threads(getattr(arguments, "threads", 1), device=getattr(arguments, "device", "cpu"))
    from lt_callbacks.bench.actions import ACTIONS

    try:
        if getattr(arguments, "device", "cpu") == "cuda":
            from lt_callbacks.bench.gpu import check_device

            check_device()
        ACTIONS[arguments.action](arguments, typed)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
