"""The samples that a run's page shows with what the models say about them, kept as soon as the models are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._files import write_bytes
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.places import document_path
from lt_callbacks.apps.train.rows import RECIPES
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.apps.train.training import row_training
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.dsink import ProxyLabeler
from lt_callbacks.methods import Classifier

#: Beside the picture that is made of it.
FILE = "figures/proxy_labels.safetensors"
FORMAT = "lt_callbacks shown samples"
FORMAT_VERSION = 1

_STUDENT = "dsink"
_NUM_SHOWN = 8
_NUM_ALIKE = 2


def keep_shown_samples(study: SeedStudy, method: str) -> None:
    """Write what the page will show of the run's first seed, where the row that was just scored has its D-SINK student.

    Before the row counts as finished: a run that goes on trains it no more, and has no student to ask.

    Args:
        study: Of the row's seed.
        method: The row.
    """
    from safetensors.torch import save

    makes_student = method == _STUDENT or RECIPES[method].needs_student
    if not makes_student or study.student is None or study.seed != study.config.seed:
        return
    samples = samples_of(study, study.student)
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "training": _identity(study),
        "sample_names": samples.pop("sample_names"),
    }
    tensors = {name: torch.tensor(values) for name, values in samples.items() if values is not None}
    content = save(tensors, metadata={"lt_callbacks": json.dumps(header)})
    write_bytes(Path(study.config.output) / FILE, content)


def shown_samples(study: SeedStudy) -> dict[str, Any] | None:
    """The arguments of ``proxy_labels_figure`` that `keep_shown_samples` left for this run's settings and data.

    A run that goes on in another folder takes them from beside the document that it continued.

    Args:
        study: Of the run's first seed.

    Returns:
        None where no student was trained, or what was kept is of another one, or damaged.
    """
    own = Path(study.config.output) / FILE
    found = _read(own, _identity(study))
    if found is None:
        earlier = document_path(study.config).parent / FILE
        found = _read(earlier, _identity(study))
        if found is not None:
            write_bytes(own, earlier.read_bytes())
    return found


@torch.no_grad()
def samples_of(study: SeedStudy, student: Classifier) -> dict[str, Any]:
    """What the models say about some samples of one training batch; the arguments of ``proxy_labels_figure``."""
    config = study.config
    datamodule = study.datamodule
    images, given, index = next(iter(datamodule.train_dataloader()))
    noise, imbalance = (teacher.log_probs(images.cpu()) for teacher in study.teachers.live())
    logits = student.cpu().eval()(images.cpu()).float()
    proxy = ProxyLabeler(**_labeler_settings(config))(logits, noise, imbalance)
    true = None if datamodule.true_labels is None else torch.tensor(datamodule.true_labels)[index.cpu()]
    # Where nobody knows which labels are wrong, those that the proxy label speaks against.
    other = proxy.labels.argmax(dim=1) if true is None else true
    rows = _instructive(given.cpu(), other, torch.tensor(datamodule.shot_class_counts))
    return {
        "images": _pixels(images.cpu()[rows], study),
        "sample_names": [_place(datamodule, position) for position in index.cpu()[rows].tolist()],
        "given_label": given.cpu()[rows].numpy(),
        "true_label": None if true is None else true[rows].numpy(),
        "noise_probs": noise[rows].exp().double().numpy(),
        "imbalance_probs": imbalance[rows].exp().double().numpy(),
        "student_probs": logits[rows].double().softmax(dim=1).numpy(),
        "proxy_labels": proxy.labels[rows].double().numpy(),
    }


def _place(datamodule: LongTailedDataModule, index: int) -> str:
    """Where a training sample is found: its file with the folder it lies in, or its place in the arrays."""
    position = int(datamodule.manifest.indices[index])
    images = datamodule.source.train.images
    return f"no. {position}" if isinstance(images, Tensor) else "/".join(images[position].parts[-2:])


def _labeler_settings(config: TrainConfig) -> dict[str, Any]:
    """Those of one batch by itself: what was remembered of the training's batches is not in the picture."""
    settings = {name: value for name, value in vars(config.dsink).items() if name not in ("alpha", "warmup_epochs")}
    kind = "batch" if config.dsink.class_marginal == "running" else config.dsink.class_marginal
    return {**settings, "class_marginal": kind, "queue_batches": 0}


def _instructive(given: Tensor, other: Tensor, counts: Tensor) -> Tensor:
    """Positions of the samples to show: most with another label than the given one, from tail to head, some without.

    Args:
        given: (B,) given labels.
        other: (B,) true labels or, where nobody knows them, those of the highest proxy probability.
        counts: (C,) training samples.
    """
    rarest_first = counts[other].argsort(stable=True)
    differs = (given != other)[rarest_first]
    apart, alike = rarest_first[differs], rarest_first[~differs]
    num_apart = min(len(apart), _NUM_SHOWN - min(_NUM_ALIKE, len(alike)))
    evenly = torch.linspace(0, max(len(apart) - 1, 0), num_apart).long()
    return torch.cat([apart[evenly], alike[: _NUM_SHOWN - num_apart]])


def _pixels(images: Tensor, study: SeedStudy) -> np.ndarray:
    """Normalised images back in [0, 1]."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (study.source.mean, study.source.std))
    return (images.float() * std + mean).clamp(0, 1).numpy()


def _identity(study: SeedStudy) -> str:
    """Of settings, seed and corrupted labels."""
    manifest = study.datamodule.manifest.sha256
    return row_training(study.config, _STUDENT, seed=study.seed, manifest_sha256=manifest).folder.name


def _read(path: Path, identity: str) -> dict[str, Any] | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})["lt_callbacks"])
            samples: dict[str, Any] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        is_ours = (header["format"], header["format_version"]) == (FORMAT, FORMAT_VERSION)
        names = list(header["sample_names"])
    # A page is made without the picture rather than not at all.
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    if not is_ours or header["training"] != identity:
        return None
    return {"true_label": None, **samples, "sample_names": names}
