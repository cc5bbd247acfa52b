from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.apps.distill.stages import DistillStages
from lt_callbacks.distilled_set import SoftLabels
from lt_callbacks.relabel import RelabelledFolder, relabel
from lt_callbacks.relabel.folder import LABELS
from lt_callbacks.relabel.result import calibration_facts

#: In a run's folder.
RELABELLED = "distilled-adsa"

#: On other hardware, or with other threads, tau differs in its last digits.
_SAME_TAU = 1e-4


def write_relabelled_set(folder: Path, stages: DistillStages) -> None:
    """Write the distilled images of a seed with ADSA's labels of every view, as `ADSACallback` writes them.

    A folder that holds this very set already stays as it is.

    Raises:
        ValueError: The folder holds another finished set, or something else.
    """
    # Logits are stored uncalibrated, for students of any tau.
    task, source = stages.task, replace(stages.logits, stored=stages.labels.logits)
    found, target = stages.calibration(), RelabelledFolder(folder)
    if target.is_finished:
        _check_same(folder, stages.labels, calibration_facts(task, source, found.label_fit))
    else:
        relabel(task, source, target, found=found)


def _check_same(folder: Path, stored: SoftLabels, wanted: Mapping[str, Any]) -> None:
    """Raise unless the folder holds the labels in ``stored``, calibrated as ``wanted``."""
    labels = SoftLabels.open(folder / LABELS)
    facts = dict(labels.calibration or {})
    tau = facts.pop("tau", None)
    is_same = (
        tau is not None
        and labels.facts.distilled_sha256 == stored.facts.distilled_sha256
        and (labels.views, labels.num_views) == (stored.views, stored.num_views)
        # An earlier release wrote fewer entries.
        and all(wanted.get(name) == value for name, value in facts.items())
    )
    if is_same and abs(tau - wanted["tau"]) < _SAME_TAU:
        return
    made = f"with tau {tau:.4g}, this run's is {wanted['tau']:.4g}" if is_same else "of other images or views"
    raise ArgumentValueError(
        "output",
        rule="be a new folder, or this run's own",
        got=f"{str(folder)!r}, which holds another relabelled set, {made}",
        way_out="Set hydra.run.dir=...",
    )
