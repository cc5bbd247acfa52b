from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def compiled(network: nn.Module, *, enabled: bool) -> Iterator[None]:
    """Compile a network's forward with ``torch.compile`` for a block; afterwards it is as it was.

    In place: no name in its state dict changes, and what wraps its caller, as D-SINK's capture, stays outside of what
    is traced. Afterwards it must not stay compiled: hooks that are added later, such as those of dataset distillation,
    would not be seen.

    Args:
        network: Called as ``network(images)`` inside the block.
        enabled: Whether to do anything.
    """
    if not enabled:
        yield
        return
    network.compile()
    try:
        yield
    finally:
        # The counterpart that torch does not have.
        network._compiled_call_impl = None
