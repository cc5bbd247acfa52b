from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from torch import nn

from lt_callbacks.apps.shared.kept_network import keep_if_there_is_room, keep_network, take_network
from lt_callbacks.apps.train.training import Trained, Training
from lt_callbacks.apps.train.unfinished import CHECKPOINT


def keep_trained(
    training: Training, network: nn.Module, trained: Trained, *, say: Callable[[str], None] | None = None
) -> None:
    """Leave a trained network in its training's folder, in place of the checkpoint, until its row or teacher is safe.

    Args:
        training: Which is over.
        network: Trained.
        trained: What the training leaves besides.
        say: Tells a person that there is no room for it, which then is no error; None: it is one.
    """
    folder, facts = training.folder, asdict(trained)
    if say is None:
        keep_network(folder, network, facts)
    elif not keep_if_there_is_room(folder, network, facts, name=training.name, say=say):
        return
    # It would not be gone back to, and takes three times the room.
    (folder / CHECKPOINT).unlink(missing_ok=True)


def take_trained(folder: Path, network: nn.Module) -> Trained | None:
    """What `keep_trained` left, with the weights in ``network``; None where the training is not over.

    Raises:
        ValueError: A file is damaged.
    """
    facts = take_network(folder, network)
    return None if facts is None else Trained(**facts)
