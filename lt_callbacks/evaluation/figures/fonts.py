"""Which installed fonts have the characters of a text, so that names in any script can be read in the figures."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.text import Text

#: Tried in this order after the person's own (``matplotlib.rcParams["font.family"]``), those that are installed.
FALLBACKS = (
    "DejaVu Sans",
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
    "Noto Sans CJK TC",
    "Noto Sans SC",
    "Noto Sans JP",
    "Noto Sans KR",
    "Source Han Sans SC",
    "Source Han Sans",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Hiragino Sans",
    "Hiragino Sans GB",
    "PingFang SC",
    "PingFang HK",
    "Heiti TC",
    "Apple SD Gothic Neo",
    "Microsoft YaHei",
    "SimHei",
    "Yu Gothic",
    "MS Gothic",
    "Malgun Gothic",
    "IPAexGothic",
    "IPAGothic",
    "NanumGothic",
    "Arial Unicode MS",
    "Noto Sans",
    "Noto Sans Devanagari",
    "Noto Sans Bengali",
    "Noto Sans Tamil",
    "Noto Sans Thai",
    "Noto Emoji",
)

_WEIGHTS = ("normal", "bold")

# What was warned of in this process.
_SAID: set[str] = set()


def families() -> list[str]:
    """The fonts that a text is drawn with, by name: for each character, the first that has it."""
    from matplotlib import rcParams

    # `font.sans-serif` and its like list the fonts of a generic family
    settings: dict[str, list[str]] = dict(rcParams)  # type: ignore[arg-type]
    chosen = [name for family in settings["font.family"] for name in settings.get(f"font.{family}", [family])]
    installed = _installed()
    return [name for name in dict.fromkeys([*chosen, *FALLBACKS]) if name in installed]


def can_draw(text: str) -> bool:
    """Whether the installed fonts have every character of ``text``, in bold too."""
    return not missing(text)


def missing(text: str) -> set[str]:
    """The characters of ``text`` that no font has, in its usual weight or in bold."""
    strange = {character for character in text if not character.isascii()}
    return {character for weight in _WEIGHTS for character in _without(strange, families(), weight)}


def width(text: str) -> int:
    """Columns that ``text`` takes where a Latin letter takes one: Chinese, Japanese and Korean characters take two."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def plain(text: str) -> str:
    """``text`` for matplotlib to draw as it is: a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def fit(text: Text) -> None:
    """Give an artist the fonts that its characters need; what no font has becomes a question mark, with a warning."""
    shown = text.get_text()
    strange = {character for character in shown if not character.isascii()}
    if not strange:
        return
    weight, own = text.get_fontweight(), text.get_fontfamily()
    own = [own] if isinstance(own, str) else list(own)
    if not _without(strange, own, weight):
        return
    chain = list(dict.fromkeys([*own, *families()]))
    unknown = _without(strange, chain, weight)
    if unknown:
        warn(unknown, instead="a question mark stands for each")
        text.set_text("".join("?" if character in unknown else character for character in shown))
    text.set_fontfamily(chain)


def warn(characters: Iterable[str], *, instead: str) -> None:
    """Say once a process that no installed font has some characters, and what to do."""
    if instead in _SAID:
        return
    _SAID.add(instead)
    warnings.warn(
        f"No installed font has {' '.join(sorted(characters)[:4])}, so in the figures {instead}. Install a font that"
        " does, for Chinese, Japanese and Korean such as Noto Sans CJK (Debian and Ubuntu: fonts-noto-cjk), or name"
        " yours in matplotlib's setting font.family.",
        stacklevel=3,
    )


def _without(characters: set[str], names: Iterable[str], weight: str | int) -> set[str]:
    """Those of ``characters`` that none of the fonts has."""
    left = set(characters)
    for name in names:
        if not left:
            break
        left = {character for character in left if not _has(name, weight, character)}
    return left


@lru_cache(maxsize=4096)
def _has(name: str, weight: str | int, character: str) -> bool:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    try:
        font = get_font(findfont(FontProperties(family=[name], weight=weight), fallback_to_default=False))
    except (OSError, RuntimeError, ValueError):  # gone since matplotlib listed it, or in a format that it cannot read
        return False
    return bool(font.get_char_index(ord(character)))


def _installed() -> set[str]:
    from matplotlib.font_manager import fontManager

    return {entry.name for entry in fontManager.ttflist}
