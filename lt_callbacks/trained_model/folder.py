from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from torch import nn

from lt_callbacks._checks import as_path
from lt_callbacks._errors import ArgumentImportError, ArgumentValueError, UserError
from lt_callbacks._files import remove_leftovers, sha256, temporary_beside, write_bytes
from lt_callbacks._json_file import SHA256
from lt_callbacks._tensor_file import nonfinite_entry
from lt_callbacks.distilled_set.facts_file import read_facts, refusal, write_facts
from lt_callbacks.models import build_model
from lt_callbacks.models.weights_bytes import weights_bytes
from lt_callbacks.trained_model.facts import ModelFacts
from lt_callbacks.trained_model.trained_model import TrainedModel

FORMAT = "lt_callbacks trained model"
FORMAT_VERSION = 1
FACTS_FILE, WEIGHTS_FILE = "model.json", "weights.safetensors"

_KIND = "a trained model"
_WAY_OUT = "Copy the folder again, or train the model again."


def save_model(folder: str | os.PathLike[str], network: nn.Module, *, facts: ModelFacts) -> Path:
    """Write a trained network's folder: weights as safetensors, and all else as JSON; whole or not at all.

    Args:
        folder: Made; one that holds a trained model is replaced.
        network: Of the architecture that ``facts`` names.
        facts: What is known of it.

    Returns:
        The folder.

    Raises:
        ValueError: ``folder`` holds something else.
    """
    place = as_path("folder", folder)
    check_place(place)
    weights = weights_bytes(network)
    remove_leftovers(place.parent, name=place.name)
    beside = temporary_beside(place)
    old = beside.with_suffix(".old")
    try:
        write_bytes(beside / WEIGHTS_FILE, weights)
        entries = {**facts.to_dict(), "weights": {"file": WEIGHTS_FILE, "sha256": sha256(weights)}}
        write_facts(beside / FACTS_FILE, {"format": FORMAT, "format_version": FORMAT_VERSION, **entries})
        if place.exists():
            place.rename(old)
        beside.rename(place)
    finally:
        for left in (beside, old):
            shutil.rmtree(left, ignore_errors=True)
    return place


def check_place(folder: Path) -> None:
    """Refuse to write a model over something else."""
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty and not (folder / FACTS_FILE).is_file():
        raise ArgumentValueError(
            "folder",
            rule="be new, empty or hold a trained model",
            got=f"{str(folder)!r}, which holds something else",
            way_out="Move that away.",
        )


def read_model_facts(folder: str | os.PathLike[str]) -> ModelFacts:
    """What a trained model's folder says of it; no weights are read.

    Raises:
        FileNotFoundError: There is no such folder, or no model in it.
        ValueError: ``model.json`` is damaged, was edited, or is of another format version.
    """
    return _read(as_path("folder", folder))[0]


def load_model(folder: str | os.PathLike[str], *, device: torch.device | str = "cpu") -> TrainedModel:
    """The trained network that `lt-train` left in ``model/``, in eval mode, with its preprocessing and class names.

    Nothing is unpickled; neither Hydra nor the settings of the run are needed.

    Args:
        folder: Holds ``model.json`` and ``weights.safetensors``.
        device: Where the network is put.

    Raises:
        FileNotFoundError: There is no such folder, or a file is missing.
        ValueError: A file is damaged, was edited, or is of another format version, or a weight is not finite.
        ImportError: The network is one of timm, and timm is not installed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    place = as_path("folder", folder)
    facts, weights_sha256 = _read(place)
    file = place / WEIGHTS_FILE
    content = file.read_bytes() if file.is_file() else b""
    if sha256(content) != weights_sha256:
        reason = "does not fit the checksum in model.json" if content else "is missing or empty"
        raise refusal(file, _KIND, reason, _WAY_OUT)
    # The first weights are drawn from torch's global generator, which is the caller's.
    with torch.random.fork_rng(devices=[]):
        network = _built(facts, place)
    try:
        state = load(content)
    except SafetensorError as error:
        raise refusal(file, _KIND, f"is no file of tensors ({error})", _WAY_OUT) from error
    nonfinite = nonfinite_entry(state, like=network.state_dict())
    if nonfinite:
        reason = f"holds weights that are not finite: {nonfinite}"
        raise refusal(file, _KIND, reason, "Train the model again, with a smaller learning rate.")
    try:
        network.load_state_dict(state)
    # Another release of torchvision or timm may name the weights of a network otherwise.
    except RuntimeError as error:
        why = str(error).splitlines()[-1].strip()
        reason = f"does not fit the network {facts.network!r} as it is built here ({why})"
        raise refusal(file, _KIND, reason, "Install the releases of the packages that it was trained with.") from error
    return TrainedModel(network=network, facts=facts).to(_known(device)).eval()


def _built(facts: ModelFacts, place: Path) -> nn.Module:
    try:
        return build_model(
            facts.network,
            num_classes=len(facts.class_names),
            in_channels=facts.in_channels,
            head=facts.head,
            width=facts.width,
        )
    except ArgumentImportError:
        raise
    # Such as a width that no memory holds.
    except (UserError, RuntimeError, MemoryError, OverflowError) as error:
        why = str(error).splitlines()[0].rstrip(".")
        reason = f"describes in `network`, `class_names` and `mean` what cannot be built: {why}"
        raise refusal(place / FACTS_FILE, _KIND, reason, _WAY_OUT) from error


def _read(place: Path) -> tuple[ModelFacts, str]:
    file = place / FACTS_FILE
    entries = read_facts(
        file,
        kind=_KIND,
        format_name=FORMAT,
        format_version=FORMAT_VERSION,
        way_out=_WAY_OUT,
        entries={"weights": {"sha256": SHA256}},
    )
    try:
        weights_sha256 = str(entries.pop("weights")["sha256"])
        del entries["format"], entries["format_version"]
        return ModelFacts.from_dict(entries), weights_sha256
    except (UserError, KeyError, TypeError) as error:
        raise refusal(file, _KIND, f"cannot be understood: {error}", _WAY_OUT) from error


def _known(device: torch.device | str) -> torch.device:
    """The device, if this machine has it."""
    try:
        known = torch.device(device)
        torch.empty(0, device=known)
    # torch's kinds of error differ by device and build.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ArgumentValueError(
            "device",
            rule="be a device of this machine",
            got=f"{str(device)!r} ({str(error).splitlines()[0].rstrip('.')})",
            way_out="Use 'cpu'.",
        ) from error
    return known
