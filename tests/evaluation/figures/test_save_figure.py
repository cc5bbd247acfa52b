from __future__ import annotations

import re

import pytest
from PIL import Image

from lt_callbacks.evaluation import save_figure
from lt_callbacks.evaluation.figures.figure_style import new_figure


def test_png_has_the_size_asked_for_and_nothing_else_is_left(tmp_path):
    path = save_figure(new_figure(3, 2), tmp_path / "new" / "figure.png", dpi=50)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (150, 100))
        assert "Software" not in image.info
    assert [entry.name for entry in path.parent.iterdir()] == ["figure.png"]


def test_equal_figures_are_equal_bytes(tmp_path):
    one, two = (save_figure(new_figure(3, 2), tmp_path / f"{name}.png").read_bytes() for name in "ab")
    assert one == two


def test_other_extensions_are_refused(tmp_path):
    with pytest.raises(ValueError, match=re.escape("`path` must end in .png; got 'figure.pdf'.")):
        save_figure(new_figure(3, 2), tmp_path / "figure.pdf")
    with pytest.raises(ValueError, match=re.escape("`dpi` must be a finite number > 0; got 0.")):
        save_figure(new_figure(3, 2), tmp_path / "figure.png", dpi=0)
    assert not list(tmp_path.iterdir())
