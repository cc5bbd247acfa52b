from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.text import Text

from lt_callbacks.evaluation.figures import fonts


class ReadableFigure(Figure):
    """A figure whose texts are drawn in fonts that have their characters, whoever added them and when.

    Numbers that a locator makes while it is drawn have the usual font. Texts in the usual alphabets keep their font.
    """

    def draw(self, renderer: Any) -> None:
        """Fits fonts first: the layout measures texts."""
        for text in self.findobj(Text):
            fonts.fit(text)
        super().draw(renderer)
