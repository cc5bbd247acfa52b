from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lt_callbacks._files import write_bytes
from lt_callbacks.apps.config.errors import CommandError, named, without_trace
from lt_callbacks.apps.config.job_record import FILE, JobRecord, read_job
from lt_callbacks.apps.report.figures import NAMES
from lt_callbacks.apps.report.methods import reference_of
from lt_callbacks.apps.report.sections import Material, default_title, problems, sections_of, summary_of
from lt_callbacks.evaluation import find_results, pool_results
from lt_callbacks.evaluation.pages.html_page import html_page
from lt_callbacks.evaluation.pages.markdown_page import markdown_page
from lt_callbacks.evaluation.pages.report_blocks import Picture, Section, TableCell
from lt_callbacks.evaluation.pages.setting_tables import accuracy_table, results_csv, summary_csv
from lt_callbacks.evaluation.records.find_results import RESULTS, files_below

if TYPE_CHECKING:
    from rich.console import Console

_MOST_ROWS = 40


def main(argv: Sequence[str] | None = None) -> int:
    """``lt-report DIR... [--output FOLDER] [--title T] [--group-by KEY,...]``; returns the exit code."""
    arguments = _parser().parse_args(argv)
    group_by = tuple(key.strip() for key in (arguments.group_by or "").split(",") if key.strip())
    try:
        with without_trace(), named({"places": "DIR", "documents": "DIR", "group_by": "--group-by"}):
            run(arguments.places, output=arguments.output, title=arguments.title, group_by=group_by)
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def run(places: Sequence[Path], *, output: Path | None, title: str | None, group_by: tuple[str, ...]) -> None:
    """Compare all results found, and write the report.

    Args:
        places: Folders of runs and sweeps, and result documents.
        output: Folder of the report; None: ``report`` in the first place.
        title: Of the report; None: what is compared.
        group_by: Settings that the figures go over.

    Raises:
        ValueError, FileNotFoundError: Before anything is written: no results, a file that is damaged or of another
            format version, contradicting results, an unknown setting, or an output that is a run's own folder.
    """
    base = places[0] if places[0].is_dir() else places[0].parent
    output = _checked_output(base / "report" if output is None else output)
    documents = {_name(path, base): document for path, document in find_results(places).items()}
    jobs = _jobs(places)
    if not any(document.cells for document in documents.values()):
        raise ValueError(_nothing(places, jobs))
    comparison = pool_results(documents, group_by=group_by)
    material = Material(
        comparison=comparison, documents=documents, jobs=jobs, base=base, output=output, group_by=group_by
    )
    sections = sections_of(material)
    reference = reference_of(comparison.methods)
    page = {"title": title or default_title(comparison), "summary": summary_of(material), "sections": sections}
    files = {
        "results.csv": results_csv(comparison),
        "table.csv": summary_csv(comparison, reference=reference),
        "report.md": markdown_page(**page),  # type: ignore[arg-type]
        "report.html": html_page(**page),  # type: ignore[arg-type]
    }
    _write(output, files, sections)
    _show(material)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lt-report",
        description="Compare finished runs and sweeps of lt-train and lt-distill: tables, maps, one HTML page.",
    )
    parser.add_argument(
        "places",
        nargs="+",
        type=Path,
        metavar="DIR",
        help=f"folder of a run or a sweep, searched for {RESULTS}; or a result document",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="for the report (default: report/ in the first DIR)"
    )
    parser.add_argument("--title", help="of the report (default: what is compared)")
    parser.add_argument(
        "--group-by",
        metavar="KEY,...",
        help="settings, such as noise.ratio,dsink.alpha, that the figures go over: upwards and to the right in maps, "
        "along the axis if it is one (default: noise.ratio and imbalance.factor)",
    )
    return parser


def _checked_output(output: Path) -> Path:
    if output.exists() and not output.is_dir():
        raise ValueError(f"`--output` must be a folder; {str(output)!r} is a file. Name another.")
    if any((output / name).exists() for name in (RESULTS, FILE)):
        raise ValueError(
            f"`--output` must not be the folder of a run, whose own report would be lost; got {str(output)!r}. "
            "Name a new folder."
        )
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
            raise ValueError(
                f"`DIR` must hold records of jobs that this release can read; {str(folder / FILE)!r} is damaged or of "
                "another release. Move that folder elsewhere to leave the job out."
            )
        jobs[folder] = job
    return jobs


def _nothing(places: Sequence[Path], jobs: dict[Path, JobRecord]) -> str:
    text = (
        f"`DIR` must hold at least one finished result in a {RESULTS}; got none in {', '.join(map(str, places))}. "
        "Give the folder of a run or of a sweep."
    )
    listed = [f"  {job.status}: {folder}. See {folder / job.log}" for folder, job in jobs.items()]
    return "\n".join([text, *(["Jobs without results:"] if listed else []), *listed])


def _name(path: Path, base: Path) -> str:
    try:
        return Path(os.path.relpath(path, base)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


def _write(output: Path, files: dict[str, str], sections: Sequence[Section]) -> None:
    pictures = [block for section in sections for block in section.blocks if isinstance(block, Picture)]
    for picture in pictures:
        write_bytes(output / "figures" / f"{picture.name}.png", picture.png)
    # those of an earlier report that this one has no place for would mislead
    current = {f"{picture.name}.png" for picture in pictures}
    for path in (output / "figures").glob("*.png"):
        if path.name not in current and path.name.startswith(NAMES):
            path.unlink()
    for name, text in files.items():
        write_bytes(output / name, text.encode())


def _show(material: Material) -> None:
    """The table on the terminal, what is missing, and where everything is."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def made(headings: Sequence[str], lines: Sequence[Sequence[TableCell]]) -> Table:
        shown = Table(box=SIMPLE_HEAD, padding=0)
        for position, heading in enumerate(headings):
            shown.add_column(
                Text(heading), justify="right" if position else "left", no_wrap=position > 0, overflow="fold"
            )
        for line in lines:
            shown.add_row(*(Text(cell.text.replace(" ± ", "±"), style="bold" if cell.is_best else "") for cell in line))
        return shown

    console = Console()
    table = accuracy_table(material.comparison, reference=reference_of(material.comparison.methods))
    _, rows = table.groups[0]
    folded = [heading.replace(" / ", " /\n") for heading in table.headings[:1]]
    folded += [heading.replace(" ", "\n") for heading in table.headings[1:]]
    shown = made(folded, rows[:_MOST_ROWS])
    if Console(width=10_000).measure(shown).maximum > console.width:
        # a terminal that cuts on its own would split numbers
        rows = [
            [TableCell(text=f"{row[0].text}  {method}"), cell, row[-1]]
            for row in rows
            for method, cell in zip(table.headings[1:-1], row[1:-1], strict=True)
        ]
        shown = made([folded[0], "Accuracy", "Seeds"], rows[:_MOST_ROWS])
    _say(console, summary_of(material))
    console.print(shown)
    _say(console, table.note)
    if len(rows) > _MOST_ROWS:
        _say(console, f"The first {_MOST_ROWS} of {len(rows)} rows; the report has all.")
    for line in problems(material):
        _say(console, line, style="yellow")
    _say(console, f"Page: {material.output / 'report.html'}")
    _say(console, f"Tables and figures: {material.output}")


def _say(console: Console, text: str, *, style: str | None = None) -> None:
    console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
