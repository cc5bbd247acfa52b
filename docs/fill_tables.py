"""Write the tables of README.md and docs/*.md from the committed JSON results: `make docs`.

A table stands between `<!-- table: docs/results/NAME.json -->` and `<!-- end of table -->`.
"""

import re
import sys
from pathlib import Path

from lt_callbacks.evaluation import markdown_table, mean, read_result, sd, summarise

ROOT = Path(__file__).resolve().parent.parent
ALPHA = re.compile(r"(<!-- alpha -->\n).*?(<!-- end of alpha -->)", re.DOTALL)
BLOCK = re.compile(r"(<!-- table: (?P<path>\S+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def filled(text: str) -> str:
    """``text`` with its tables as the JSON files say."""

    def table(block: re.Match[str]) -> str:
        document = read_result(ROOT / block["path"])
        methods = [cell.method for cell in document.cells]
        cells = sorted(document.cells, key=lambda cell: methods.index(cell.method))
        rows = markdown_table(summarise(cells, reference="CE")).rstrip()
        command = document.runs[0]["command"]
        return f"{block[1]}\n{rows}\n\n`{command}` ({block['path']})\n\n{block[3]}"

    return ALPHA.sub(lambda block: f"{block[1]}\n{alpha_table()}\n\n{block[2]}", BLOCK.sub(table, text))


def alpha_table() -> str:
    """Held-out accuracy by alpha, from docs/results/digits-alpha-*.json."""
    lines = [
        "| alpha | held-out accuracy, given labels | wrong labels fitted | seeds |",
        "| ---: | ---: | ---: | ---: |",
    ]
    documents = {
        float(path.stem.rsplit("-", 1)[1]): path for path in (ROOT / "docs/results").glob("digits-alpha-*.json")
    }
    for alpha, path in sorted(documents.items()):
        cells = read_result(path).cells
        columns = ([cell.extra["val_accuracy"] for cell in cells], [cell.wrong_labels_fitted for cell in cells])
        spreads = " | ".join(f"{mean(column):.1f} ± {sd(column):.1f}" for column in columns)
        lines.append(f"| {alpha:g} | {spreads} | {len(cells)} |")
    commands = "`lt-train methods=[dsink] dsink.alpha=A seed=100 num_seeds=10 results=docs/results/digits-alpha-A.json`"
    return "\n".join([*lines, "", commands])


def pages() -> list[Path]:
    """All pages that may hold tables."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text()))
    sys.exit(0)
