# Legend: C classes.
"""What the files of a relabelled set say about how it was made."""

from __future__ import annotations

from typing import Any

from lt_callbacks.adsa import TauFit
from lt_callbacks.relabel.calibration import Calibration
from lt_callbacks.relabel.folder import LABELS
from lt_callbacks.relabel.source import LogitSource
from lt_callbacks.relabel.task import RelabelTask


def calibration_facts(task: RelabelTask, source: LogitSource, fit: TauFit) -> dict[str, Any]:
    """What stored labels were calibrated with and come from, as JSON values: labels of other facts are other labels."""
    target = task.settings.target_prior
    return {
        "method": "adsa",
        "tau": fit.tau,
        "class_prior": fit.class_prior.tolist(),
        "target_prior": None if target is None else (target / target.sum()).tolist(),
        "model_sha256": source.model_sha256,
        "networks": None if source.networks is None else list(source.networks),
        "precision": source.precision,
    }


def result_facts(task: RelabelTask, source: LogitSource, found: Calibration) -> dict[str, Any]:
    """The content of ``adsa.json`` less its format, as JSON values."""
    settings = task.settings
    calibration = calibration_facts(task, source, found.label_fit)
    return {
        **found.label_fit.to_dict(),
        "alarms": list(found.alarms),
        "class_names": list(task.distilled.class_names),
        "recognised": found.quality.recognised.tolist(),
        "entropy": found.quality.entropy.tolist(),
        "prior_source": task.prior_source,
        "target_prior": calibration["target_prior"],
        "fit_on": settings.fit_on,
        "num_fit_views": 1 if settings.fit_on == "plain" else settings.num_fit_views,
        "shrink_to": settings.shrink_to,
        "labels": LABELS,
        "views": settings.views.to_dict(),
        "num_views": settings.num_views,
        "top_k": settings.top_k,
        "precision": source.precision,
        "distilled_sha256": task.distilled.sha256,
        "model_sha256": source.model_sha256,
        "networks": calibration["networks"],
    }
