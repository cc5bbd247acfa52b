from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from lt_callbacks._errors import DataError
from lt_callbacks._files import sha256, write_bytes
from lt_callbacks.apps.shared.disk_failure import is_disk_failure
from lt_callbacks.models.weights_bytes import weights_bytes
from lt_callbacks.teachers.weights import load_weights

#: Written last: with this file, the weights are complete.
FACTS, WEIGHTS = "trained.json", "trained.safetensors"


def keep_network(folder: Path, network: nn.Module, facts: Mapping[str, Any]) -> None:
    """Leave a network whose training is over in a folder, until what it was trained for is kept elsewhere.

    Scoring, and writing what came out, can fail too: a disk fills up, a job is killed. None of that costs the training.

    Args:
        folder: For this training alone.
        network: Trained.
        facts: What else came out, as JSON values and numbers that are not finite.
    """
    content = weights_bytes(network)
    write_bytes(folder / WEIGHTS, content)
    write_bytes(folder / FACTS, _json({"sha256": _checksum(content, facts), "facts": dict(facts)}))


def keep_if_there_is_room(
    folder: Path, network: nn.Module, facts: Mapping[str, Any], *, name: str, say: Callable[[str], None]
) -> bool:
    """As `keep_network`; where the disk refuses it, say so and go on: the network is here, and can be scored.

    What that leaves takes less room. To end the run would lose for certain what was to be guarded against.

    Args:
        folder: As there.
        network: As there.
        facts: As there.
        name: Of the training.
        say: Tells a person.

    Returns:
        Whether it was kept.
    """
    try:
        keep_network(folder, network, facts)
    except OSError as error:
        if not is_disk_failure(error):
            raise
        say(f"  {name}: the network could not be kept until its result is: {error.strerror}.")
        return False
    return True


def take_network(folder: Path, network: nn.Module) -> dict[str, Any] | None:
    """The facts that `keep_network` left, with the weights in ``network``; None where it left nothing.

    Raises:
        ValueError: A file is damaged.
    """
    from safetensors.torch import load

    if not (folder / FACTS).is_file():
        return None
    facts: dict[str, Any] = {}
    try:
        entries = json.loads((folder / FACTS).read_text())
        content = (folder / WEIGHTS).read_bytes()
        facts = dict(entries["facts"])
        is_whole = entries["sha256"] == _checksum(content, facts)
    except (OSError, ValueError, KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise DataError(
            f"The finished training {str(folder)!r} must be as it was written; a file is missing, truncated or edited. "
            "Delete the folder, and the training begins anew."
        )
    load_weights(network, load(content), source=str(folder / WEIGHTS))
    return facts


def _checksum(content: bytes, facts: Mapping[str, Any]) -> str:
    return sha256(_json([sha256(content), dict(facts)]))


def _json(content: Any) -> bytes:
    """With NaN, as curves have it where nothing was measured: this file is for this package alone."""
    return json.dumps(content, sort_keys=True).encode()
