from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from torch import nn

from lt_callbacks.apps.shared.kept_network import keep_network, take_network
from lt_callbacks.apps.train.training import Trained
from lt_callbacks.apps.train.unfinished import CHECKPOINT


def keep_trained(folder: Path, network: nn.Module, trained: Trained) -> None:
    """Leave a trained network in its training's folder, in place of the checkpoint, until its row or teacher is safe.

    Args:
        folder: Of the training.
        network: Trained.
        trained: What the training leaves besides.
    """
    keep_network(folder, network, asdict(trained))
    # It would not be gone back to, and takes three times the room.
    (folder / CHECKPOINT).unlink(missing_ok=True)


def take_trained(folder: Path, network: nn.Module) -> Trained | None:
    """What `keep_trained` left, with the weights in ``network``; None where the training is not over.

    Raises:
        ValueError: A file is damaged.
    """
    facts = take_network(folder, network)
    return None if facts is None else Trained(**facts)
