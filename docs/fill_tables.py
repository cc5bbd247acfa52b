"""Write the tables of README.md and docs/*.md from the committed JSON results: `make docs`.

Blocks, each up to `<!-- end -->`:
    <!-- table: docs/results/NAME.json -->                      all methods; or ` | only: CE; D-SINK` for some
    <!-- differences: docs/results/NAME.json | of: D-SINK -->   a method minus each other one, paired by seed
    <!-- proxy: docs/results/NAME.json -->                      what the proxy labels of D-SINK's last epoch are like
    <!-- alpha: docs/results -->                                held-out accuracy by alpha
    <!-- taus: docs/results/NAME.json -->                       students with fixed taus, and the tau that ADSA fits
    <!-- views: docs/results -->                                accuracy by the views that tau is fitted on
    <!-- bench: docs/results/bench-NAME.json -->                times side by side, with their figures
    <!-- kernel: docs/results/fused-kernel.json -->             the GPU kernel as compiled ahead of time
"""

import json
import re
from pathlib import Path

from lt_callbacks.bench.document import read_bench
from lt_callbacks.bench.tables import markdown_tables
from lt_callbacks.evaluation import MethodResult, markdown_table, mean, paired_difference, read_result, sd, summarise

ROOT = Path(__file__).resolve().parent.parent
KINDS = "table|differences|proxy|alpha|taus|views|bench|kernel"
BLOCK = re.compile(rf"<!-- ({KINDS}): (\S+)(?: \| (?:only|of): ([^>]*?))? -->\n.*?<!-- end -->", re.DOTALL)


def filled(text: str) -> str:
    """``text`` with its blocks as the JSON files say."""

    def block(found: re.Match[str]) -> str:
        kind, path, argument = found.groups()
        head = found[0].split("\n", 1)[0]
        return f"{head}\n\n{MAKERS[kind](path, argument)}\n\n<!-- end -->"

    return BLOCK.sub(block, text)


def _table(path: str, only: str | None) -> str:
    chosen = [name.strip() for name in only.split(";")] if only else None
    results = [result for result in _results(path) if chosen is None or result.method in chosen]
    reference = next(name for name in ("CE", "soft labels") if name in {result.method for result in results})
    return f"{markdown_table(summarise(results, reference=reference)).rstrip()}\n\n{_source(path)}"


def _differences(path: str, of: str | None) -> str:
    accuracy: dict[str, dict[int, float]] = {}
    for result in _results(path):
        accuracy.setdefault(result.method, {})[result.seed] = result.accuracy
    method = str(of)
    lines = [f"| {method} minus | points of All, 95 % interval | pairs |", "| :--- | ---: | ---: |"]
    for other in accuracy:
        if other != method:
            found = paired_difference(accuracy[method], accuracy[other])
            interval = " [{:+.1f}, {:+.1f}]".format(*found.interval) if found.interval else ""
            lines.append(f"| {_escape(other)} | {found.mean:+.1f}{interval} | {found.num_pairs} |")
    return "\n".join(lines)


def _alpha(folder: str, _: str | None) -> str:
    lines = [
        "| alpha | held-out accuracy, given labels | wrong labels fitted | seeds |",
        "| ---: | ---: | ---: | ---: |",
    ]
    documents = {float(path.stem.rsplit("-", 1)[1]): path for path in (ROOT / folder).glob("digits-alpha-*.json")}
    for alpha, path in sorted(documents.items()):
        results = read_result(path).results
        columns = (
            [result.extra["val_accuracy"] for result in results],
            [result.wrong_labels_fitted or 0.0 for result in results],
        )
        spreads = " | ".join(f"{mean(column):.1f} ± {sd(column):.1f}" for column in columns)
        lines.append(f"| {alpha:g} | {spreads} | {len(results)} |")
    command = "lt-train methods=[dsink] dsink.alpha=A seed=100 num_seeds=10 results=docs/results/digits-alpha-A.json"
    return "\n".join([*lines, "", f"`{command}`"])


def _proxy(path: str, _: str | None) -> str:
    seen = [result.extra for result in _results(path) if result.method == "D-SINK"]
    names = {
        "dsink/given_accuracy": "given labels that are right (%)",
        "dsink/accuracy": "proxy labels whose peak is right (%)",
        "dsink/agreement": "proxy labels that peak at the given label (%)",
    }
    lines = ["| last epoch, training samples | mean ± sd over seeds |", "| :--- | ---: |"]
    for key, name in names.items():
        column = [100 * extra[key] for extra in seen]
        lines.append(f"| {name} | {mean(column):.1f} ± {sd(column) or 0.0:.1f} |")
    lines.append(f"| sweeps a step | {mean([extra['dsink/sweeps'] for extra in seen]):.1f} |")
    return "\n".join(lines)


def _taus(path: str, _: str | None) -> str:
    """Accuracy of the students of each fixed tau, and of the tau that ADSA fits without looking."""
    results = _results(path)
    by_tau: dict[float, list[float]] = {}
    for result in results:
        if result.method == "soft labels":
            by_tau.setdefault(0.0, []).append(result.accuracy)
        for tau, accuracy in result.extra.get("by_tau", {}).items():
            by_tau.setdefault(float(tau), []).append(accuracy)
    shown = [(f"{tau:g}", by_tau[tau]) for tau in sorted(by_tau)]
    shown.append((f"ADSA, {_fitted(results)}", [result.accuracy for result in results if result.method == "ADSA"]))
    lines = ["| tau | All | seeds |", "| ---: | ---: | ---: |"]
    lines += [f"| {name} | {mean(column):.1f} ± {sd(column) or 0.0:.1f} | {len(column)} |" for name, column in shown]
    return "\n".join(lines)


def _fitted(results: list[MethodResult]) -> str:
    taus = [result.extra["tau"] for result in results if result.method == "ADSA"]
    return f"fitted: {mean(taus):.2f} ± {sd(taus) or 0.0:.2f}"


def _views(folder: str, _: str | None) -> str:
    """One line a document: accuracy on removed training images by the views that tau (in brackets) was fitted on."""
    kinds = ("plain images", "crops", "mixed views", "strong views")
    lines = [
        "| images, networks trained on | seeds | soft | tau = 1 | plain | crops | mixed | strong |",
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for path in sorted((ROOT / folder).glob("distill-views-*.json")):
        document = read_result(path)
        found: dict[str, list[float]] = {}
        taus: dict[str, list[float]] = {}
        for result in document.results:
            found.setdefault(result.method, []).append(result.accuracy)
            taus.setdefault(result.method, []).append(result.extra["tau"])
        settings = document.settings
        label = f"{settings['distiller']['name']}, {'shifted' if settings['data']['augment'] else 'unchanged'} images"
        columns = [
            str(len(document.seeds)),
            *(f"{mean(found[name]):.1f}" for name in ("soft labels", "soft labels, tau = 1")),
        ]
        for name in (f"ADSA, tau from {kind}" for kind in kinds):
            columns.append(f"{mean(found[name]):.1f} ({mean(taus[name]):.2f})")
        lines.append(f"| {_escape(label)} | {' | '.join(columns)} |")
    return "\n".join(lines)


def _bench(path: str, only: str | None) -> str:
    if not (ROOT / path).is_file():
        return "Not measured yet."
    content = read_bench(ROOT / path)
    chosen = [name.strip() for name in only.split(";")] if only else []
    pictures = sorted((ROOT / "docs" / "figures").glob(f"bench_{content['kind']}*.png"))
    shown = [f"![{picture.stem.replace('_', ' ')}](figures/{picture.name})" for picture in pictures]
    return "\n\n".join([markdown_tables(content, only=chosen), *shown, f"`{content['command']}` ({path})"])


def _kernel(path: str, _: str | None) -> str:
    content = json.loads((ROOT / path).read_text())
    lines = [
        "| tile | warps | GPU | registers | bytes spilled | instructions a sweep | spill loads / stores in it |",
        "| ---: | ---: | :--- | ---: | ---: | ---: | ---: |",
    ]
    for row in content["rows"]:
        sweep = row["sweep"]
        if row["dtype"] == "fp32" and row["kernel"] == "harmonise":
            lines.append(
                f"| {row['rows']}×{row['classes']} | {row['num_warps']} | sm_{row['capability']} "
                f"| {row['registers']} | {row['spilled_bytes']} | {sweep['instructions']} "
                f"| {sweep['spill_loads']} / {sweep['spill_stores']} |"
            )
    return "\n".join([*lines, "", f"`python docs/benchmarks/fused_kernel.py` ({path})"])


MAKERS = {
    "bench": _bench,
    "kernel": _kernel,
    "taus": _taus,
    "views": _views,
    "table": _table,
    "differences": _differences,
    "proxy": _proxy,
    "alpha": _alpha,
}


def _results(path: str) -> list[MethodResult]:
    return list(read_result(ROOT / path).results)


def _source(path: str) -> str:
    return f"`{read_result(ROOT / path).runs[0]['command']}` ({path})"


def _escape(text: str) -> str:
    return text.replace("_", "\\_")


def pages() -> list[Path]:
    """All pages that may hold blocks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text()))
