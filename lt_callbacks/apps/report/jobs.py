"""Jobs of a sweep that are not done, and results that are elsewhere, missing or there twice."""

from __future__ import annotations

from lt_callbacks.apps.config.job_record import DONE, NOT_A_JOBS, RUNNING, JobRecord
from lt_callbacks.apps.report.material import Material, relative
from lt_callbacks.evaluation.comparison.number_text import NOTHING, duration
from lt_callbacks.evaluation.pages.report_blocks import Block, Paragraph, Table, TableCell

_LONGEST_ERROR = 400


def about_jobs(material: Material) -> list[Block]:
    """Blocks about jobs: a table of those that are not done, lists of other troubles; none where all is well."""
    blocks: list[Block] = [_unfinished(material)] if material.unfinished else []
    folders = {(material.base / name).parent.resolve() for name in material.documents}
    elsewhere = [
        relative(folder, material.base)
        for folder, job in material.jobs.items()
        if job.status == DONE and folder.resolve() not in folders
    ]
    if elsewhere:
        blocks.append(
            Paragraph(text="Done, but without results beside them, so not counted here:", items=tuple(elsewhere))
        )
    empty = [name for name, document in material.documents.items() if not document.results]
    if empty:
        blocks.append(Paragraph(text="Without a finished result yet:", items=tuple(empty)))
    if material.comparison.repeated:
        blocks.append(Paragraph(text="Found twice:", items=material.comparison.repeated))
    return blocks


def problems(material: Material) -> list[str]:
    """A line for each job that is not done: its status, folder, error and log."""
    lines = []
    for folder, job in material.unfinished.items():
        error = f": {_shortened(job.error)}" if job.error else ""
        lines.append(f"{_status(job)}: {relative(folder, material.base)}{error} Log: {folder / job.log}")
    return lines


def _unfinished(material: Material) -> Table:
    rows = []
    for folder, job in material.unfinished.items():
        log = folder / job.log
        rows.append(
            [
                TableCell(text=_status(job)),
                TableCell(text=_overrides(job) or relative(folder, material.base)),
                TableCell(text=_shortened(job.error) or NOTHING),
                TableCell(text=duration(job.seconds), sort=job.seconds),
                TableCell(text=relative(log, material.base), link=relative(log, material.output)),
            ]
        )
    return Table(
        headings=("Status", "Job", "Error", "Time", "Log"),
        groups=[("", rows)],
        numbers=frozenset({3}),
        texts=frozenset({1, 2}),
        note="A job that was killed with its sweep still says that it runs.",
    )


def _status(job: JobRecord) -> str:
    return "unfinished" if job.status == RUNNING else job.status


def _overrides(job: JobRecord) -> str:
    return " ".join(each for each in job.overrides if each.lstrip("+").partition("=")[0] not in NOT_A_JOBS)


def _shortened(error: str | None) -> str:
    text = " ".join((error or "").split())
    return text if len(text) <= _LONGEST_ERROR else f"{text[:_LONGEST_ERROR]}…"
