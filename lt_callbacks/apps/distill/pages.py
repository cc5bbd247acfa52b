"""What a person looks at after `lt-distill`: the table, the page with its figures, and the relabelled set itself."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from lt_callbacks._files import write_bytes
from lt_callbacks.adsa import calibrate
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.distill.rows import PLAIN, RECIPES
from lt_callbacks.apps.distill.study import DistillStudy
from lt_callbacks.distilled_set import SoftLabels
from lt_callbacks.evaluation import (
    MethodResult,
    TableRow,
    csv_table,
    per_class_accuracy_figure,
    rich_table,
    summarise,
    write_run_report,
)
from lt_callbacks.plugins.adsa.report import figures_of, save_figures
from lt_callbacks.relabel.folder import LABELS, RESULT, RelabelledFolder

_SAME_TAU = 1e-4


def write_relabelled_set(folder: Path, study: DistillStudy) -> None:
    """The distilled images of a seed with ADSA's labels of every view, as `ADSACallback` writes them.

    Raises:
        ValueError: The folder holds another finished set.
    """
    fit, raw, distilled = study.tau_fit, study.labels, study.distilled
    calibration = {
        "method": "adsa",
        "tau": fit.tau,
        "class_prior": fit.class_prior.tolist(),
        "networks": study.network_keys,
    }
    if (folder / RESULT).is_file():
        _check_same(folder, raw, calibration)
        return
    target = RelabelledFolder(folder)
    labels = target.prepare(distilled, views=raw.views, num_views=raw.num_views, calibration=calibration, top_k=None)
    everything = torch.arange(len(distilled))
    for view in labels.missing_views():
        labels.write(view, calibrate(raw.logits(everything, view), study.class_prior, fit.tau))
    save_figures(figures_of(fit, distilled, class_prior=study.class_prior), folder)
    target.finish(
        {
            **fit.to_dict(),
            "fit_on": study.config.adsa.fit_on,
            "shrink_to": study.config.adsa.shrink_to,
            "class_names": list(distilled.class_names),
            "prior_source": "given labels of the training data",
            "distilled_sha256": distilled.sha256,
            "labels": LABELS,
        }
    )


def _check_same(folder: Path, raw: SoftLabels, calibration: dict[str, Any]) -> None:
    """Raise unless the folder holds the calibrated labels of ``raw``."""
    found = SoftLabels.open(folder / LABELS)
    facts = dict(found.calibration or {})
    tau = facts.pop("tau", None)
    wanted = {name: value for name, value in calibration.items() if name != "tau"}
    # On other hardware, or with other threads, tau differs in its last digits.
    is_same_tau = tau is not None and abs(tau - calibration["tau"]) < _SAME_TAU
    is_same_set = found.facts.distilled_sha256 == raw.facts.distilled_sha256
    is_same = (
        tau is not None and is_same_set and (found.views, found.num_views, facts) == (raw.views, raw.num_views, wanted)
    )
    if not is_same or not is_same_tau:
        made = f"with tau {tau:.4g}, this run's is {calibration['tau']:.4g}" if is_same else "of other images or views"
        raise ValueError(
            f"`output` must be a new folder, or this run's own; {str(folder)!r} holds another relabelled set, {made}. "
            "Set hydra.run.dir=..."
        )


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
    datamodule = study.datamodule
    figures: dict[str, Any] = {
        "per_class_accuracy": per_class_accuracy_figure(
            results, true_counts=datamodule.true_class_counts, class_names=datamodule.class_names
        ),
        **figures_of(study.tau_fit, study.distilled, class_prior=study.class_prior),
    }
    write_run_report(
        output,
        title=_title(config, study),
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
    shown = (
        ("Results", results),
        ("Report and figures", output),
        ("Distilled set with ADSA's labels", output / "distilled-adsa"),
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
