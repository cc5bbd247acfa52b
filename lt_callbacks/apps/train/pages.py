from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._files import write_bytes
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.label_facts import what_was_done
from lt_callbacks.apps.shared.show_table import show_table
from lt_callbacks.apps.train.rows import PLAIN, meanings, title
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.dsink import ProxyLabeler
from lt_callbacks.evaluation import (
    MethodResult,
    TableRow,
    class_counts_figure,
    csv_table,
    per_class_accuracy_figure,
    proxy_labels_figure,
    summarise,
    training_curves_figure,
    transition_figure,
    write_run_report,
)
from lt_callbacks.methods import Classifier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NUM_SHOWN = 8
_NUM_ALIKE = 2


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
    names = datamodule.class_names
    figures = _label_figures(datamodule)
    figures["per_class_accuracy"] = per_class_accuracy_figure(
        results,
        class_counts=datamodule.shot_class_counts,
        counts_are_true=datamodule.manifest.truth_is_known,
        class_names=names,
    )
    curves = _curves(results)
    if curves:
        figures["training_curves"] = training_curves_figure(curves)
    if study.student is not None:
        samples = _shown_samples(config, study, study.student)
        figures["proxy_labels"] = proxy_labels_figure(**samples, class_names=names, title=_proxy_title(datamodule))
    write_run_report(
        output,
        title=_title(config, datamodule),
        rows=rows,
        settings=asdict(config),
        meanings=meanings(config),
        figures=figures,
    )
    write_bytes(output / "table.csv", csv_table(rows).encode())


def show(config: TrainConfig, rows: list[TableRow], output: Path, results: Path) -> None:
    """Print the table, what it shows, what its rows are, and where everything is.

    Args:
        config: The run's settings.
        rows: Of the table.
        output: Folder of the run.
        results: The result document.
    """
    from rich.console import Console

    console = Console()
    show_table(console, rows, meanings=meanings(config))
    for what, where in (("Results", results), ("Report, figures and manifests", output)):
        console.print(f"{what}: {where}", highlight=False, markup=False, soft_wrap=True)


def _title(config: TrainConfig, datamodule: LongTailedDataModule) -> str:
    manifest = datamodule.manifest
    if manifest.noise_rate is None:
        return f"{manifest.dataset}: {what_was_done(datamodule)}"
    made = f"imbalance {config.imbalance.factor:g}, {config.noise.kind} noise"
    if config.manifest is not None:
        made = "from a manifest"
    return f"{manifest.dataset}: {made}, {100 * manifest.noise_rate:.1f} % of {len(manifest):,} labels wrong"


def _label_figures(datamodule: LongTailedDataModule) -> dict[str, Figure]:
    """What is known of the labels: their counts and, where the truth is, how they became wrong."""
    manifest, names = datamodule.manifest, datamodule.class_names
    given = np.bincount(manifest.given_labels, minlength=manifest.num_classes)
    transition = manifest.realised_transition
    if manifest.true_labels is None or transition is None:
        return {"class_counts": class_counts_figure(given, class_names=names)}
    true = np.bincount(manifest.true_labels, minlength=manifest.num_classes)
    return {
        "class_counts": class_counts_figure(given, true, class_names=names),
        "transition": transition_figure(transition, class_names=names, true_counts=true),
    }


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


def _proxy_title(datamodule: LongTailedDataModule) -> str:
    if datamodule.manifest.truth_is_known:
        return "From two weak teachers to proxy labels"
    return "Suspects first: samples whose proxy label speaks against the given label, then some others"


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
