from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lt_callbacks._files import write_bytes
from lt_callbacks.apps.config.errors import CommandError, named, without_trace
from lt_callbacks.apps.config.interrupts import ended_by_interrupt
from lt_callbacks.apps.report.figures import NAMES
from lt_callbacks.apps.report.glance import default_title, summary_of
from lt_callbacks.apps.report.material import collect
from lt_callbacks.apps.report.sections import sections_of
from lt_callbacks.apps.report.terminal import show
from lt_callbacks.evaluation.pages.csv_files import results_csv, summary_csv
from lt_callbacks.evaluation.pages.html_page import html_page
from lt_callbacks.evaluation.pages.markdown_page import markdown_page
from lt_callbacks.evaluation.pages.report_blocks import Picture, Section
from lt_callbacks.evaluation.pages.setting_tables import accuracy_table
from lt_callbacks.evaluation.records.find_results import RESULTS


@ended_by_interrupt()
def main(argv: Sequence[str] | None = None) -> int:
    """Run ``lt-report DIR... [--output FOLDER] [--title T] [--group-by KEY,...]``; returns the exit code."""
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
    material = collect(places, output=output, group_by=group_by)
    comparison, sections = material.comparison, sections_of(material)
    heading, summary = title or default_title(comparison), summary_of(material)
    files = {
        "results.csv": results_csv(comparison),
        "table.csv": summary_csv(comparison, material.rows),
        "report.md": markdown_page(title=heading, summary=summary, sections=sections),
        "report.html": html_page(title=heading, summary=summary, sections=sections),
    }
    _write(material.output, files, sections)
    show(material, accuracy_table(comparison, material.rows))


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


def _write(output: Path, files: Mapping[str, str], sections: Sequence[Section]) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
