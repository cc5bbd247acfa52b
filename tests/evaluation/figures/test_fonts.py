from __future__ import annotations

import re
import shutil
import warnings
from io import BytesIO
from pathlib import Path

import matplotlib
import pytest
from matplotlib import font_manager

from lt_callbacks.evaluation import class_counts_figure, save_figure, transition_figure
from lt_callbacks.evaluation.figures import class_axis, fonts
from lt_callbacks.evaluation.figures import figure_style as style

#: A character of a private area, which no script and so no installed font has.
NOBODYS = "\U0010fffd"
#: In STIXGeneral, which comes with matplotlib, and not in DejaVu Sans.
STIX_ONLY = "\u20dd"


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(fonts, "_SAID", set())


def drawn(figure):
    """The figure drawn with every warning an error; its texts."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(BytesIO(), format="png")
    return {text.get_text() for text in figure.findobj(matplotlib.text.Text)}


def test_the_persons_own_font_comes_first_and_only_installed_ones_are_named():
    assert fonts.families()[0] == "DejaVu Sans"
    with matplotlib.rc_context({"font.family": ["cmr10", "A font that nobody has"]}):
        assert fonts.families()[:2] == ["cmr10", "DejaVu Sans"]
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    assert set(fonts.families()) <= installed


def test_a_character_is_drawn_in_the_first_font_that_has_it(monkeypatch):
    monkeypatch.setattr(fonts, "FALLBACKS", ("DejaVu Sans", "STIXGeneral"))
    assert class_axis.names_of([f"a{STIX_ONLY}"], 1) == [f"a{STIX_ONLY}"]
    figure = style.new_figure(3, 2)
    text, plain = figure.text(0.5, 0.5, f"a{STIX_ONLY}"), figure.text(0.5, 0.1, "plain τ ± −")
    family = plain.get_fontfamily()
    drawn(figure)  # no "Glyph missing"
    assert text.get_fontfamily()[-2:] == ["DejaVu Sans", "STIXGeneral"]
    # what the usual font has keeps it, and its picture every pixel
    assert plain.get_fontfamily() == family


def test_a_font_that_is_added_later_is_found(monkeypatch, tmp_path):
    # A font file under a name of the list, as if someone had installed one.
    source = next(entry.fname for entry in font_manager.fontManager.ttflist if entry.name == "STIXGeneral")
    file = Path(shutil.copy(source, tmp_path / "installed.ttf"))
    monkeypatch.setattr(fonts, "FALLBACKS", ("DejaVu Sans", "A later font"))
    assert not fonts.can_draw(STIX_ONLY)
    entry = font_manager.FontEntry(fname=str(file), name="A later font", weight=400)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist, entry])
    assert fonts.families()[-1] == "A later font"
    assert fonts.can_draw(STIX_ONLY)


def test_a_class_that_no_font_can_write_is_called_by_its_number_with_one_warning():
    names = ["dog", f"{NOBODYS}", f"a {NOBODYS} b"]
    with pytest.warns(UserWarning, match=re.escape(f"No installed font has {NOBODYS}")) as caught:
        figures = [class_counts_figure([3, 2, 1], class_names=names) for _ in range(3)]
    assert class_axis.names_of(names, 3) == ["dog", "class 1", "class 2"]
    assert len(caught) == 1
    assert "Noto Sans CJK" in str(caught[0].message)
    assert "called by its number, counted from 0" in str(caught[0].message)
    assert {"dog", "class 1", "class 2"} <= drawn(figures[0])


def test_another_text_that_no_font_can_write_shows_question_marks():
    figure = style.new_figure(3, 2)
    style.finish_axes(figure.add_subplot(), title=f"{NOBODYS} − a")
    with pytest.warns(UserWarning, match="a question mark stands for each") as caught:
        figure.savefig(BytesIO(), format="png")
    assert len(caught) == 1
    assert "? − a" in drawn(figure)


@pytest.mark.parametrize(
    "name",
    [
        "犬",
        "猫の写真",
        "개",
        "🐶",
        "שלום",
        "سلام",
        "$x$",
        "a $ b",
        r"$\frac",
        r"\$5",
        "a_b^c{",
        "tab\tnew\nline\x07",
        "",
    ],
)
def test_any_name_is_drawn_without_a_warning_of_matplotlib(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="No installed font has")
        save_figure(class_counts_figure([3, 2], class_names=["a", name]), tmp_path / "a.png")
        save_figure(transition_figure([[0.5, 0.5], [0.0, 1.0]], class_names=["a", name]), tmp_path / "b.png")


@pytest.mark.parametrize("name", ["$x$", r"$\frac", r"\$5", "cost $"])
def test_a_dollar_sign_is_drawn_as_one(name):
    figure = style.new_figure(3, 2)
    text = figure.text(0, 0, fonts.plain(name))
    seen, is_formula = text._preprocess_math(text.get_text())
    assert (seen, is_formula) == (name, False)
    assert class_axis.names_of([name], 1) == [fonts.plain(name)]


def test_width_counts_columns():
    assert fonts.width("dog") == 3
    assert fonts.width("犬の") == 4
    assert fonts.width("e\u0301") == 1
