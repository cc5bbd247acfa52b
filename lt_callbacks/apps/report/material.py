from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._writable import check_folder
from lt_callbacks.apps.config.job_record import DONE, FILE, JobRecord, job_fault, read_job
from lt_callbacks.apps.report.methods import Compared, compared_of, reference_of
from lt_callbacks.evaluation import Comparison, ResultDocument, find_results, pool_results
from lt_callbacks.evaluation.comparison.setting_rows import SettingRows, summarise_settings
from lt_callbacks.evaluation.records.find_results import RESULTS, files_below

# Of a report.
_FILES = ("report.md", "report.html", "results.csv", "table.csv")


@dataclass(frozen=True, kw_only=True)
class Material:
    """All that a report is made of.

    Attributes:
        comparison: The pooled results.
        documents: File, relative to ``base`` -> document.
        jobs: Folder of a job -> its record.
        base: Folder that names are relative to.
        output: Folder of the report, which links are relative to.
        group_by: Settings that the person asked for.
    """

    comparison: Comparison
    documents: Mapping[str, ResultDocument]
    jobs: Mapping[Path, JobRecord]
    base: Path
    output: Path
    group_by: tuple[str, ...]

    @property
    def unfinished(self) -> dict[Path, JobRecord]:
        """Jobs that are not done."""
        return {folder: job for folder, job in self.jobs.items() if job.status != DONE}

    @property
    def compared(self) -> Compared | None:
        """The method that the report is about, and its rivals; None where there is no such pair."""
        return compared_of(self.comparison.methods)

    @cached_property
    def rows(self) -> tuple[SettingRows, ...]:
        """The rows of all tables: made once, for the page, Markdown, CSV and the terminal."""
        return summarise_settings(self.comparison, reference=reference_of(self.comparison.methods))


def collect(places: Sequence[Path], *, output: Path | None, group_by: tuple[str, ...]) -> Material:
    """Read all results and records of jobs below some places, and pool the results.

    Args:
        places: Folders of runs and sweeps, and result documents.
        output: Folder of the report; None: ``report`` in the first place.
        group_by: Settings that the figures go over.

    Raises:
        ValueError, FileNotFoundError: No results, a file that is damaged or of another format version, contradicting
            results, an unknown setting, or an output that is a run's own folder.
    """
    base = places[0] if places[0].is_dir() else places[0].parent
    output = _checked_output(base / "report" if output is None else output)
    documents = {relative(path, base): document for path, document in find_results(places).items()}
    jobs = _jobs(places)
    if not any(document.results for document in documents.values()):
        raise _nothing(places, jobs)
    return Material(
        comparison=pool_results(documents, group_by=group_by),
        documents=documents,
        jobs=jobs,
        base=base,
        output=output,
        group_by=group_by,
    )


def relative(path: Path, start: Path) -> str:
    """``path`` as seen from ``start``, with slashes on every system."""
    try:
        return Path(os.path.relpath(path, start)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def _checked_output(output: Path) -> Path:
    check_folder("--output", output, folders=("figures",), files=_FILES)
    if any((output / name).exists() for name in (RESULTS, FILE)):
        rule = "not be the folder of a run, whose own report would be lost"
        raise ArgumentValueError("--output", rule=rule, got=repr(str(output)), way_out="Name a new folder.")
    return output


def _jobs(places: Sequence[Path]) -> dict[Path, JobRecord]:
    folders: dict[Path, Path] = {}
    for place in places:
        for path in files_below(place, FILE) if place.is_dir() else []:
            folders.setdefault(path.parent.resolve(), path.parent)
    jobs = {}
    for folder in sorted(folders.values()):
        job = read_job(folder)
        if job is None:
            raise ArgumentValueError(
                "DIR",
                rule="hold records of jobs that this release can read",
                got=f"{str(folder / FILE)!r}, which {job_fault(folder)}",
                way_out="Move that folder elsewhere to leave the job out.",
            )
        jobs[folder] = job
    return jobs


def _nothing(places: Sequence[Path], jobs: Mapping[Path, JobRecord]) -> ArgumentValueError:
    listed = [f"  {job.status}: {folder}. See {folder / job.log}" for folder, job in jobs.items()]
    way_out = ["Give the folder of a run or of a sweep.", *(["Jobs without results:"] if listed else []), *listed]
    return ArgumentValueError(
        "DIR",
        rule=f"hold at least one finished result in a {RESULTS}",
        got=f"none in {', '.join(map(str, places))}",
        way_out="\n".join(way_out),
    )
