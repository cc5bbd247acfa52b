"""The folders and files that a run writes to, tried out before it reads or trains anything."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lt_callbacks._files import remove_leftovers
from lt_callbacks._writable import check_file, check_folder
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.evaluation import read_result

#: The result document of a run that names none, in its ``output``.
DOCUMENT = "metrics.json"

_SEEDS_LOOKED_AT = 100


def document_path(config: TrainConfig | DistillConfig) -> Path:
    """The result document that a run starts or continues."""
    return Path(config.results or Path(config.output) / DOCUMENT)


def check_output(config: TrainConfig | DistillConfig, *, folders: Iterable[str] = ()) -> None:
    """Refuse an ``output`` that the pages could not be written to.

    Args:
        config: The settings.
        folders: That will be made in it, besides those that every run makes.

    Raises:
        ArgumentError: See `lt_callbacks._writable.check_folder`.
    """
    # Nobody has looked yet at how many there are.
    seeds = range(config.seed, config.seed + min(config.num_seeds, _SEEDS_LOOKED_AT))
    check_folder(
        "output",
        config.output,
        folders=("figures", "unfinished", *folders),
        files=("report.md", "table.csv", DOCUMENT, *(f"manifest-seed{seed}.json" for seed in seeds)),
    )


def check_results_and_store(
    config: TrainConfig | DistillConfig, *, titles: Iterable[str], store_folders: Iterable[str] | None
) -> None:
    """Refuse ``results`` and ``store`` that what is left to run could not be written to.

    Where every row is finished they are only read, and may lie on a disk that nobody writes to.

    Args:
        config: The settings.
        titles: Of the run's rows.
        store_folders: That will be made in the store; None: nothing is kept there.

    Raises:
        ArgumentError: See `lt_callbacks._writable.check_file`; or the document is damaged.
    """
    if _all_are_finished(config, titles):
        return
    if config.results:
        check_file("results", config.results)
    if store_folders is not None:
        check_folder("store", Path(config.store).expanduser(), folders=store_folders)


def remove_leftovers_of_run(config: TrainConfig | DistillConfig) -> None:
    """Remove what a run that was killed had begun to write in the places of this one; the store sees to its own."""
    output, document = Path(config.output), document_path(config)
    remove_leftovers(document.parent, name=document.name)
    for folder in (output, *(output / name for name in ("figures", "networks", "unfinished", "phases"))):
        remove_leftovers(folder)
    # A request to stop that was obeyed.
    for stop in (output / "phases").glob("*/stop"):
        stop.unlink(missing_ok=True)


def _all_are_finished(config: TrainConfig | DistillConfig, titles: Iterable[str]) -> bool:
    document = document_path(config)
    try:
        if not document.is_file():
            return False
    except (OSError, ValueError):
        # No path of a file at all, which is refused when it is tried.
        return False
    finished = {result.key for result in read_result(document).results}
    seeds = range(config.seed, config.seed + config.num_seeds)
    return all((title, seed, config.setting) in finished for title in titles for seed in seeds)
