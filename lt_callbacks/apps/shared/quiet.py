from __future__ import annotations

import logging
import warnings


def be_quiet() -> None:
    """Silence what a person at the terminal can do nothing about."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Small data on the device needs no workers, and epochs of a few batches no logging interval. The others are
    # Lightning's talk with its dependencies.
    for text in (
        ".*does not have many workers",
        ".*number of training batches",
        # No held-out share is no mistake.
        "Total length of `list` across ranks is zero",
        ".*tensorboard",
        "GPU available but not used",
        ".*isinstance.treespec, LeafSpec.",
    ):
        warnings.filterwarnings("ignore", message=text)
