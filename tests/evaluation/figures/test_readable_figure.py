from __future__ import annotations

import pickle
import subprocess
import sys
from io import BytesIO

import pytest

from lt_callbacks.evaluation.figures import figure_style as style
from lt_callbacks.evaluation.figures import fonts

#: In STIXGeneral, which comes with matplotlib, and not in DejaVu Sans.
STIX_ONLY = "\u20dd"


@pytest.mark.parametrize("format", ["png", "svg", "pdf"])
def test_texts_get_their_fonts_in_every_format(monkeypatch, format, recwarn):
    monkeypatch.setattr(fonts, "FALLBACKS", ("DejaVu Sans", "STIXGeneral"))
    figure = style.new_figure(3, 2)
    axes = figure.add_subplot()
    axes.set_xticks([0, 1], ["a", STIX_ONLY])
    figure.savefig(BytesIO(), format=format)
    assert "STIXGeneral" in axes.get_xticklabels()[1].get_fontfamily()
    assert [str(each.message) for each in recwarn if "Glyph" in str(each.message)] == []


def test_it_can_be_pickled():
    figure = style.new_figure(3, 2)
    figure.text(0, 0, "a")
    assert pickle.loads(pickle.dumps(figure)).texts[0].get_text() == "a"


def test_matplotlib_is_imported_where_a_figure_is_drawn_and_no_earlier():
    code = "import sys, lt_callbacks.evaluation; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
