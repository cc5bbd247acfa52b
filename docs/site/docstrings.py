"""How docstrings are read for the API pages."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Docstrings(griffe.Extension):
    """Reads the section `Example:` as code, as Griffe reads `Examples:`, and a leading `>` as no quotation."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Looks at each module, class, function and attribute once."""
        if obj.docstring is not None:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = re.sub(r"^( *\w+: )>", r"\1\\>", text, flags=re.MULTILINE)
