from __future__ import annotations

import logging
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from lt_callbacks._checks import integer, one_of
from lt_callbacks.apps.build import build_source
from lt_callbacks.apps.progress import RunProgress
from lt_callbacks.apps.recipes import RECIPES
from lt_callbacks.apps.report import show, write_pages
from lt_callbacks.apps.schemas import TrainConfig, register_schemas
from lt_callbacks.apps.study import SeedStudy
from lt_callbacks.evaluation import ResultFile

register_schemas()

#: Settings that say where and how loudly a run works, not what it computes.
_NOT_RESULTS = ("output", "store", "results", "num_seeds", "seed", "methods", "threads", "logger", "callbacks", "cell")


@hydra.main(config_path="pkg://lt_callbacks.conf", config_name="train", version_base="1.3")
def main(config: DictConfig) -> None:
    """Hydra's entry: ``lt-train [group=choice] [setting=value] [-m ...]``."""
    run(OmegaConf.to_object(config))  # type: ignore[arg-type]


def run(config: TrainConfig) -> None:
    """Corrupt, train or reuse teachers, train the methods, compare; every finished cell is on disk at once.

    Args:
        config: The settings; ``results`` names a JSON document to continue instead of the run folder's own.

    Raises:
        ValueError: A setting is unknown or out of range, before anything is trained.
    """
    integer("num_seeds", config.num_seeds, at_least=1)
    for method in config.methods:
        one_of("methods", method, RECIPES)
    _be_quiet()
    if config.threads is not None:
        torch.set_num_threads(integer("threads", config.threads, at_least=1))

    source = build_source(config.data)
    seeds = range(config.seed, config.seed + config.num_seeds)
    output = Path(config.output)
    results = ResultFile(config.results or output / "metrics.json", command=_command(), settings=_settings(config))
    todo = [
        (seed, method)
        for seed in seeds
        for method in config.methods
        if not results.is_finished(method=RECIPES[method].label, seed=seed, cell=config.cell)
    ]
    study: SeedStudy | None = None
    shown: SeedStudy | None = None
    with RunProgress(total=_num_trainings(todo)) as progress:
        for seed, method in todo:
            if study is None or study.seed != seed:
                study = SeedStudy(config, source, seed, progress)
                study.datamodule.manifest.save(output / f"manifest-seed{seed}.json")
            results.append(study.run(method))
            if method == "dsink" and shown is None:
                shown = study
    labels = [RECIPES[method].label for method in config.methods]
    cells = [cell for cell in results.cells if cell.seed in seeds and cell.cell == config.cell]
    cells = sorted((cell for cell in cells if cell.method in labels), key=lambda cell: labels.index(cell.method))
    # Where every cell was finished before, the pages are made from the results alone.
    write_pages(output, config, cells, shown or study or SeedStudy(config, source, seeds[0], RunProgress(total=0)))
    show(cells, output)


def _num_trainings(todo: list[tuple[int, str]]) -> int:
    """Trainings that lie ahead; teachers, which may come from the store, are counted where a row asks for them."""
    return sum(not RECIPES[method].matches_marginal for _, method in todo)


def _settings(config: TrainConfig) -> dict[str, Any]:
    return {name: value for name, value in asdict(config).items() if name not in _NOT_RESULTS}


def _command() -> str:
    """The command as somebody else would type it: without what only this machine or this run folder is about."""
    local = ("store=", "output=", "threads=", "hydra.")
    return " ".join([Path(sys.argv[0]).name, *(word for word in sys.argv[1:] if not word.startswith(local))])


def _be_quiet() -> None:
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Small data on the device needs no workers, and epochs of a few batches no logging interval.
    for text in (".*does not have many workers.*", ".*number of training batches.*", ".*tensorboard.*", ".*GPU.*"):
        warnings.filterwarnings("ignore", message=text)


if __name__ == "__main__":
    main()
