from __future__ import annotations

from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig

from lt_callbacks.apps.build import build_source
from lt_callbacks.apps.check import check_parts, check_settings, typed
from lt_callbacks.apps.errors import without_trace
from lt_callbacks.apps.progress import RunProgress
from lt_callbacks.apps.provenance import command_line, result_settings
from lt_callbacks.apps.quiet import be_quiet
from lt_callbacks.apps.recipes import label, num_trainings
from lt_callbacks.apps.register import register_schemas
from lt_callbacks.apps.report import show, write_pages
from lt_callbacks.apps.schemas import TrainConfig
from lt_callbacks.apps.study import SeedStudy
from lt_callbacks.data import Source
from lt_callbacks.evaluation import CellResult, ResultFile

register_schemas()


@hydra.main(config_path="pkg://lt_callbacks.conf", config_name="train", version_base="1.3")
def main(config: DictConfig) -> None:
    """Hydra's entry: ``lt-train [group=choice] [setting=value] [-m ...]``."""
    be_quiet()
    with without_trace():
        run(typed(config))


def run(config: TrainConfig) -> None:
    """Corrupt, train or reuse teachers, train the methods, compare; every finished cell is on disk at once.

    Args:
        config: The settings; ``results`` names a JSON document to continue instead of the run folder's own.

    Raises:
        ValueError, TypeError, FileNotFoundError: A setting is unknown, out of range or names a file that is not there,
            before anything is trained.
    """
    check_settings(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    source = build_source(config.data)
    manifest = check_parts(config, source).manifest

    output = Path(config.output)
    results = ResultFile(
        config.results or output / "metrics.json", command=command_line(), settings=result_settings(config, manifest)
    )
    todo = {
        seed: [
            method
            for method in config.methods
            if not results.is_finished(method=label(method, config), seed=seed, cell=config.cell)
        ]
        for seed in range(config.seed, config.seed + config.num_seeds)
    }
    with RunProgress(total=sum(num_trainings(methods) for methods in todo.values())) as progress:
        try:
            shown = _run_seeds(config, source, todo, results, progress)
        except (KeyboardInterrupt, SystemExit):
            # Lightning turns the first into the second.
            progress.say(f"Stopped. The same command with results={results.path} goes on where this one was.")
            raise
    cells = _table_cells(config, results.cells)
    write_pages(output, config, cells, shown)
    show(config, cells, output, results.path)


def _run_seeds(
    config: TrainConfig, source: Source, todo: dict[int, list[str]], results: ResultFile, progress: RunProgress
) -> SeedStudy:
    """Run what each seed lacks; returns the study to show: the first one that trained a D-SINK student."""
    shown: SeedStudy | None = None
    for seed, methods in todo.items():
        study = SeedStudy(config, source, seed, progress)
        study.datamodule.manifest.save(Path(config.output) / f"manifest-seed{seed}.json")
        for method in methods:
            results.append(study.run(method))
        if shown is None or shown.student is None:
            shown = study
    return shown or study


def _table_cells(config: TrainConfig, cells: tuple[CellResult, ...]) -> list[CellResult]:
    """Those of this run's rows and seeds, in the order of ``methods``: a document may hold more."""
    labels = [label(method, config) for method in config.methods]
    seeds = range(config.seed, config.seed + config.num_seeds)
    asked = [cell for cell in cells if cell.seed in seeds and cell.cell == config.cell and cell.method in labels]
    return sorted(asked, key=lambda cell: labels.index(cell.method))


if __name__ == "__main__":
    main()
