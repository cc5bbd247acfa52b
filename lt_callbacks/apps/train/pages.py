from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._files import write_bytes
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.train.rows import PLAIN, title
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.corruption import Manifest
from lt_callbacks.dsink import ProxyLabeler
from lt_callbacks.evaluation import (
    MethodResult,
    TableRow,
    class_counts_figure,
    csv_table,
    per_class_accuracy_figure,
    proxy_labels_figure,
    rich_table,
    summarise,
    training_curves_figure,
    transition_figure,
    write_run_report,
)
from lt_callbacks.methods import Classifier

_NUM_SHOWN = 8
_NUM_RIGHT = 2


def table_rows(config: TrainConfig, results: list[MethodResult]) -> list[TableRow]:
    """The rows of the run's table, compared with the plain row where that is asked for; made once, shown everywhere."""
    return summarise(results, reference=title(PLAIN, config) if PLAIN in config.methods else None)


def write_pages(
    output: Path, config: TrainConfig, results: list[MethodResult], rows: list[TableRow], study: SeedStudy
) -> None:
    """Write ``report.md``, ``table.csv`` and figures: data, curves, accuracy by class, proxy labels of some samples.

    Args:
        output: Folder of the run.
        config: The run's settings.
        results: Those that the figures show.
        rows: Of the table, see `table_rows`.
        study: Of the seed whose data and samples are shown.
    """
    datamodule = study.datamodule
    given_counts, true_counts = _class_counts(datamodule.manifest)
    names = datamodule.class_names
    figures = {
        "class_counts": class_counts_figure(given_counts, true_counts, class_names=names),
        "transition": transition_figure(
            datamodule.manifest.realised_transition, class_names=names, true_counts=true_counts
        ),
        "per_class_accuracy": per_class_accuracy_figure(
            results, true_counts=datamodule.true_class_counts, class_names=names
        ),
    }
    curves = _curves(results)
    if curves:
        figures["training_curves"] = training_curves_figure(curves)
    if study.student is not None:
        samples = _shown_samples(config, study, study.student)
        figures["proxy_labels"] = proxy_labels_figure(**samples, class_names=names)
    write_run_report(
        output,
        title=_title(config, datamodule.manifest),
        rows=rows,
        settings=asdict(config),
        figures=figures,
    )
    write_bytes(output / "table.csv", csv_table(rows).encode())


def show(rows: list[TableRow], output: Path, results: Path) -> None:
    """Print the table, and where everything is.

    Args:
        rows: Of the table.
        output: Folder of the run.
        results: The result document.
    """
    from rich.console import Console

    console = Console()
    console.print(rich_table(rows))
    for what, where in (("Results", results), ("Report, figures and manifests", output)):
        console.print(f"{what}: {where}", highlight=False, markup=False, soft_wrap=True)


def _title(config: TrainConfig, manifest: Manifest) -> str:
    made = f"imbalance {config.imbalance.factor:g}, {config.noise.kind} noise"
    if config.manifest is not None:
        made = "from a manifest"
    return f"{manifest.dataset}: {made}, {100 * manifest.noise_rate:.1f} % of {len(manifest):,} labels wrong"


def _class_counts(manifest: Manifest) -> tuple[np.ndarray, np.ndarray]:
    """(C,) samples of each class by given and by true label."""
    given, true = (
        np.bincount(labels, minlength=manifest.num_classes) for labels in (manifest.given_labels, manifest.true_labels)
    )
    return given, true


def _curves(results: list[MethodResult]) -> dict[str, dict[str, Any]]:
    """Method -> curves of all its seeds, NaN after the end of one that stopped early; teachers have none."""
    by_method: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        if "curves" in result.extra:
            by_method.setdefault(result.method, []).append(result.extra["curves"])
    return {method: _stacked(records) for method, records in by_method.items()}


def _stacked(records: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    epoch = max((record["epoch"] for record in records), key=len)
    stacked = {"epoch": np.array(epoch, dtype=float)}
    for name in (name for name in records[0] if name != "epoch"):
        lines = np.full((len(records), len(epoch)), np.nan)
        for line, record in zip(lines, records, strict=True):
            line[: len(record[name])] = record[name]
        stacked[name] = lines
    return stacked


@torch.no_grad()
def _shown_samples(config: TrainConfig, study: SeedStudy, student: Classifier) -> dict[str, Any]:
    """What the models say about some samples of one training batch; the arguments of ``proxy_labels_figure``."""
    datamodule = study.datamodule
    images, given, index = next(iter(datamodule.train_dataloader()))
    noise, imbalance = (teacher.log_probs(images.cpu()) for teacher in study.teachers.live())
    logits = student.cpu().eval()(images.cpu()).float()
    proxy = ProxyLabeler(**_labeler_settings(config))(logits, noise, imbalance)
    true = torch.tensor(datamodule.true_labels)[index.cpu()]
    rows = _instructive(given.cpu(), true, torch.tensor(datamodule.true_class_counts))
    return {
        "images": _pixels(images.cpu()[rows], study),
        "given_label": given.cpu()[rows].numpy(),
        "true_label": true[rows].numpy(),
        "noise_probs": noise[rows].exp().double().numpy(),
        "imbalance_probs": imbalance[rows].exp().double().numpy(),
        "student_probs": logits[rows].double().softmax(dim=1).numpy(),
        "proxy_labels": proxy.labels[rows].double().numpy(),
    }


def _labeler_settings(config: TrainConfig) -> dict[str, Any]:
    """Those of one batch by itself: what was remembered of the training's batches is not in the picture."""
    settings = {name: value for name, value in vars(config.dsink).items() if name not in ("alpha", "warmup_epochs")}
    kind = "batch" if config.dsink.class_marginal == "running" else config.dsink.class_marginal
    return {**settings, "class_marginal": kind, "queue_batches": 0}


def _instructive(given: Tensor, true: Tensor, counts: Tensor) -> Tensor:
    """Positions of the samples to show: most wrongly labelled, from tail to head, and some rightly labelled ones."""
    rarest_first = counts[true].argsort(stable=True)
    is_wrong = (given != true)[rarest_first]
    wrong, right = rarest_first[is_wrong], rarest_first[~is_wrong]
    num_wrong = min(len(wrong), _NUM_SHOWN - min(_NUM_RIGHT, len(right)))
    evenly = torch.linspace(0, max(len(wrong) - 1, 0), num_wrong).long()
    return torch.cat([wrong[evenly], right[: _NUM_SHOWN - num_wrong]])


def _pixels(images: Tensor, study: SeedStudy) -> np.ndarray:
    """Normalised images back in [0, 1]."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (study.source.mean, study.source.std))
    return (images.float() * std + mean).clamp(0, 1).numpy()
