from __future__ import annotations

import ast
from pathlib import Path

import matplotlib
from matplotlib import pyplot

import lt_callbacks.evaluation
from lt_callbacks.evaluation.figures import figure_style as style

ON_USE_ONLY = {"matplotlib", "scipy", "rich", "torch", "torchmetrics", "filelock"}


def test_figures_leave_global_state_alone():
    before = dict(matplotlib.rcParams)
    figure = style.new_figure(4, 3)
    style.finish_axes(figure.add_subplot(), xlabel="x", ylabel="y", title="t")
    figure.canvas.draw()
    assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_styles_of_many_methods_differ_without_their_lines():
    looks = [style.method_style(position) for position in range(20)]
    assert len({(look["color"], look["marker"]) for look in looks}) == 20
    # neighbours differ in a grey print too
    assert all(a["linestyle"] != b["linestyle"] for a, b in zip(looks, looks[1:], strict=False))


def test_legend_rows_fit_the_width():
    assert style.legend_rows(["CE"], 5.0) == 1
    assert style.legend_rows(["a long method name"] * 5, 5.0) == 3
    assert style.legend_rows(["x" * 200] * 2, 5.0) == 2


def test_heavy_packages_are_imported_on_use_only():
    folder = Path(lt_callbacks.evaluation.__file__).parent
    found = []
    for path in folder.glob("*.py"):
        for node in ast.parse(path.read_text()).body:  # top level only; `if TYPE_CHECKING` is a node of its own
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [(path.name, name) for name in names if name.split(".")[0] in ON_USE_ONLY]
    assert found == []
