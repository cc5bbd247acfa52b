"""One study of small networks and images, and what its stages must give, computed by hand."""

from __future__ import annotations

import io

import numpy as np
import torch
from tiny_run import tiny_distill_study

from lt_callbacks.apps.shared.progress import RunProgress

# Wrong labels make the counts of given labels others than those of true ones.
SETTINGS = (
    "networks=[small_cnn,resnet8_half]", "noise=symmetric", "noise.ratio=0.2", "distiller=edc_small_images",
    "distiller.settings.num_steps=2", "views.num_views=3", "adsa.num_fit_views=3",
)  # fmt: skip


def logged_study(folder, *overrides):
    """A study, and a function that gives what it said since the last time."""
    log = io.StringIO()
    study = tiny_distill_study(folder, *SETTINGS, *overrides, progress=RunProgress(total=99, stream=log))

    def lines():
        text = log.getvalue()
        log.truncate(0)
        log.seek(0)
        return [line.partition("] seed ")[2].partition(", ")[2] for line in text.splitlines() if line.startswith("[")]

    return study, lines


def numbers(result):
    """All of a result that must not depend on when and where it ran."""
    values = result.to_dict()
    values.pop("seconds")
    values["extra"] = {name: value for name, value in values["extra"].items() if name != "stage_seconds"}
    return values


def by_hand(study, images):
    """(B, C) float64 mean of the networks' logits, one network and one image after the other."""
    total = torch.zeros(len(images), 10, dtype=torch.float64)
    with torch.no_grad():
        for network in study.stages.networks:
            for at, image in enumerate(images):
                total[at] += network(image[None])[0].double() / len(study.stages.networks)
    return total


def prior_by_hand(study):
    """(C,) counts of the labels that the networks were trained with."""
    return np.bincount(study.datamodule.manifest.given_labels, minlength=10).astype(np.float64)


def shares_by_hand(predicted, label):
    """Percent right of each class; None without a sample."""
    return [
        100 * float((predicted[label == c] == c).double().mean()) if bool((label == c).any()) else None
        for c in range(10)
    ]


def reused(lines):
    """Stage -> whether it came from the store."""
    stages = {}
    for line in lines:
        name, _, how = line.rpartition(": ")
        stages[name.partition(" ")[0]] = how == "reused from the store"
    return stages
