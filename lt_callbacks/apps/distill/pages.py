"""What a person looks at after `lt-distill`: the table, and the page with its figures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lt_callbacks._files import write_bytes
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.distill.relabelled_set import RELABELLED
from lt_callbacks.apps.distill.rows import PLAIN, RECIPES, meanings
from lt_callbacks.apps.distill.study import DistillStudy
from lt_callbacks.apps.shared.show_table import show_table
from lt_callbacks.evaluation import (
    MethodResult,
    TableRow,
    csv_table,
    per_class_accuracy_figure,
    summarise,
    write_run_report,
)
from lt_callbacks.relabel.figures import figures_of


def table_rows(config: DistillConfig, results: list[MethodResult]) -> list[TableRow]:
    """The rows of the run's table, compared with the plain row where that is asked for; made once, shown everywhere."""
    return summarise(results, reference=RECIPES[PLAIN].title if PLAIN in config.methods else None)


def write_pages(
    output: Path, config: DistillConfig, results: list[MethodResult], rows: list[TableRow], study: DistillStudy
) -> None:
    """Write ``report.md`` with table and figures, and ``table.csv``.

    Args:
        output: Folder of the run.
        config: The run's settings.
        results: Those that the figures show.
        rows: Of the table, see `table_rows`.
        study: Of the seed whose distilled set is shown.
    """
    datamodule, stages = study.datamodule, study.stages
    figures: dict[str, Any] = {
        "per_class_accuracy": per_class_accuracy_figure(
            results,
            class_counts=datamodule.shot_class_counts,
            counts_are_true=datamodule.manifest.truth_is_known,
            class_names=datamodule.class_names,
        ),
        **figures_of(stages.calibration().fit, stages.distilled, class_prior=stages.class_prior),
    }
    write_run_report(
        output,
        title=_title(config, study),
        rows=rows,
        settings=asdict(config),
        meanings=meanings(config.methods),
        figures=figures,
    )
    write_bytes(output / "table.csv", csv_table(rows).encode())


def show(config: DistillConfig, rows: list[TableRow], output: Path, results: Path) -> None:
    """Print the table, what it shows, what its rows are, and where everything is.

    Args:
        config: The run's settings.
        rows: Of the table.
        output: Folder of the run.
        results: The result document.
    """
    from rich.console import Console

    console = Console()
    show_table(console, rows, meanings=meanings(config.methods))
    shown = (
        ("Results", results),
        ("Report and figures", output),
        ("Distilled set with ADSA's labels", output / RELABELLED),
    )
    for what, where in shown:
        console.print(f"{what}: {where}", highlight=False, markup=False, soft_wrap=True)


def _title(config: DistillConfig, study: DistillStudy) -> str:
    manifest = study.datamodule.manifest
    made = f"imbalance {config.imbalance.factor:g}" if config.manifest is None else "from a manifest"
    scored = ", scored on the images that the imbalance removed" if config.score_on == "removed" else ""
    return (
        f"{manifest.dataset}, {len(study.datamodule.train_indices):,} images distilled to "
        f"{config.distiller.images_per_class} a class ({config.distiller.name}), {made}{scored}"
    )
