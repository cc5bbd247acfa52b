from __future__ import annotations

import re

import pytest
from made_results import method_result
from PIL import Image

from lt_callbacks.evaluation import class_counts_figure, markdown_table, summarise, write_run_report

ROWS = summarise([method_result("CE", 0, 50.0), method_result("D-SINK", 0, 70.0)], reference="CE")


def write(folder, **changes):
    values = {
        "title": "Digits",
        "rows": ROWS,
        "settings": {"ratio": 0.4},
        "figures": {"class_counts": class_counts_figure([3, 1], [2, 2])},
    }
    return write_run_report(folder, **{**values, **changes})


def test_report_holds_table_figures_by_relative_path_and_settings(tmp_path):
    path = write(tmp_path / "run")
    table = markdown_table(ROWS)
    assert path.read_text() == (
        "# Digits\n\n## Results\n\n"
        f"{table}\n"
        "One seed: no interval, so nothing is shown.\n\n"
        "## Figures\n\n### Class counts\n\n![Class counts](figures/class_counts.png)\n\n"
        '## Settings\n\n```json\n{\n  "ratio": 0.4\n}\n```\n'
    )
    with Image.open(path.parent / "figures" / "class_counts.png") as image:
        assert image.format == "PNG"


def test_every_link_leads_to_a_file(tmp_path):
    figures = {name: class_counts_figure([3, 1], [2, 2]) for name in ("a", "b-c_2")}
    path = write(tmp_path, figures=figures)
    links = re.findall(r"!\[.*?\]\((.*?)\)", path.read_text())
    assert links == ["figures/a.png", "figures/b-c_2.png"]
    assert all((path.parent / link).is_file() for link in links)


def test_a_report_without_figures_has_no_heading_for_them(tmp_path):
    assert "## Figures" not in write(tmp_path, figures={}).read_text()


def test_a_title_is_no_html(tmp_path):
    path = write(tmp_path, title="<script>alert(1)</script> & co\n# pair_flip")
    assert path.read_text().startswith("# &lt;script>alert(1)&lt;/script> &amp; co # pair_flip\n\n## Results")


@pytest.mark.parametrize("name", ["../out", "Class counts", "", "_a"])
def test_names_that_are_no_file_names_are_refused(tmp_path, name):
    with pytest.raises(
        ValueError,
        match=re.escape(f"`figures` must have names of lower-case letters, digits, '-' and '_'; got {name!r}."),
    ):
        write(tmp_path, figures={name: class_counts_figure([3, 1], [2, 2])})
    assert not list(tmp_path.iterdir())


def test_settings_must_be_json(tmp_path):
    with pytest.raises(TypeError, match="`settings` must hold only what JSON can"):
        write(tmp_path, settings={"a": object()})


def test_below_the_table_stands_what_each_row_is(tmp_path):
    text = write(tmp_path, meanings={"D-SINK": "with *f_N* & f_L", "of another table": "x"}).read_text()
    assert "\n\n- D-SINK: with \\*f\\_N\\* &amp; f\\_L\n\n## Figures" in text
    assert "another table" not in text
