from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lt_callbacks._files import write_bytes
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.label_facts import what_was_done
from lt_callbacks.apps.shared.show_table import show_table
from lt_callbacks.apps.train.rows import PLAIN, meanings, title
from lt_callbacks.apps.train.shown_samples import shown_samples
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.data import LongTailedDataModule
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

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    samples = shown_samples(study)
    if samples is not None:
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


def _proxy_title(datamodule: LongTailedDataModule) -> str:
    if datamodule.manifest.truth_is_known:
        return "From two weak teachers to proxy labels"
    return "Suspects first: samples whose proxy label speaks against the given label, then some others"
