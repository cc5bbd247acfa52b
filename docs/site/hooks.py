"""What the docs site needs beyond Markdown: pages from outside of docs/, and links that work on the hosting page and here.

A link in a Markdown file is relative to that file, as the hosting page wants it. Here a file from outside of docs/ is
a page of its own: the README is the home page, and a script that a page links to is shown with its code.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "lt_callbacks"

#: Path in the repository -> page of the site.
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
#: Where the site has something better than the hosting page.
INSTEAD = {"docs/results": "results/README.md", "docs/noise-by-imbalance/report.md": "noise-by-imbalance/report.html"}
LANGUAGES = {".py": "python", ".sh": "bash"}

LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")
ROLE = re.compile(r":(?:class|func|meth|attr|mod):<code>~?([\w.]+)</code>")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages from outside of docs/, and one for each script that a page links to."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for script in sorted(linked_scripts()):
        files.append(File.generated(config, page_of(script), content=code_page(script)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turns the links of the repository into links of the site."""
    here = page.file.src_uri
    source = {site: path for path, site in PAGES.items()}.get(here, f"docs/{here}")

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        return posixpath.relpath(page_of(target), posixpath.dirname(here)) if (ROOT / target).exists() else found[1]

    return LINK.sub(link, markdown)


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Turns ``:class:`X``` of docstrings into a link to X where X is public, and into code elsewhere."""
    known = public_names()

    def role(found: re.Match[str]) -> str:
        name = found[1].removeprefix("lt_callbacks.").split(".")
        shown = f"<code>{name[-1]}</code>"
        room = known.get(name[-1])
        if room is None or (len(name) > 1 and name[0] != room):
            return shown
        up = "../" * page.file.dest_uri.count("/")
        return f'<a href="{up}api/{room}.html#lt_callbacks.{room}.{name[-1]}">{shown}</a>'

    return ROLE.sub(role, html)


def page_of(path: str) -> str:
    """The file of the site that shows ``path``, a file of the repository."""
    if path in PAGES | INSTEAD:
        return (PAGES | INSTEAD)[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{path}.md"


def linked_scripts() -> set[str]:
    """Scripts outside of docs/ that a page links to."""
    found = set()
    for page in [*(ROOT / name for name in PAGES), *(ROOT / "docs").rglob("*.md")]:
        for target in LINK.findall(page.read_text(encoding="utf-8")):
            path = (page.parent / target).resolve()
            if path.suffix in LANGUAGES and path.is_file() and ROOT / "docs" not in path.parents:
                found.add(path.relative_to(ROOT).as_posix())
    return found


def code_page(script: str) -> str:
    """A page with the code of a script."""
    code = (ROOT / script).read_text(encoding="utf-8")
    return f"# {script}\n\n```{LANGUAGES[Path(script).suffix]}\n{code}```\n"


def public_names() -> dict[str, str]:
    """Public name -> the room that gives it out, read from the source."""
    found = {}
    for path in PACKAGE.glob("*/__init__.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":  # type: ignore[attr-defined]
                found |= dict.fromkeys(ast.literal_eval(node.value), path.parent.name)
    return found
