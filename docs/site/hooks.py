"""What the docs site needs beyond Markdown: pages from outside of docs/, links that work on the hosting page and here.

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

DIRECTIVE = re.compile(r"^::: lt_callbacks\.(\w+)$", re.MULTILINE)
LINK = re.compile(r'(?:(?<=\]\()|(?<=<img src="))([^)#\s:"]+)(?=[)#"])')
NAME = re.compile(r"(:(?:class|func|meth|attr|mod):)?<code>~?([\w.]+)</code>")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages from outside of docs/, and one for each script that a page links to."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for script in sorted(linked_scripts()):
        files.append(File.generated(config, page_of(script), content=code_page(script)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turns the links of the repository into links of the site, and a room into the names that it gives out."""
    here = page.file.src_uri
    source = {site: path for path, site in PAGES.items()}.get(here, f"docs/{here}")
    if here == "index.md":
        page.meta["hide"] = ["navigation"]

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        return posixpath.relpath(page_of(target), posixpath.dirname(here)) if (ROOT / target).exists() else found[1]

    def room(found: re.Match[str]) -> str:
        # One by one: a function that has the name of its file would be taken for the file.
        names = [path for place, path in public_names().values() if place == found[1]]
        docstring = ast.get_docstring(ast.parse((PACKAGE / found[1] / "__init__.py").read_text(encoding="utf-8")))
        return "\n\n".join([docstring or "", *(f"::: {path}" for path in names)])

    return DIRECTIVE.sub(room, LINK.sub(link, markdown))


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Links ``:class:`X``` and ``lt_callbacks.room.X`` to X where X is public; a role of another name is code only."""
    known = public_names()

    def name(found: re.Match[str]) -> str:
        is_role, name = bool(found[1]), found[2]
        *place, last = name.removeprefix("lt_callbacks.").split(".")
        room, path = known.get(last, ("", ""))
        is_public = bool(path) and (not place or place[0] == room)
        if not is_role and not (is_public and name.startswith("lt_callbacks.")):
            return found[0]
        shown = f"<code>{last if is_role else name}</code>"
        up = "../" * page.file.dest_uri.count("/")
        return f'<a href="{up}api/{room}.html#{path}">{shown}</a>' if is_public else shown

    return NAME.sub(name, html)


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


def public_names() -> dict[str, tuple[str, str]]:
    """Public name -> the room that gives it out and its full path, read from the source, in the order of imports."""
    found = {}
    for file in sorted(PACKAGE.glob("*/__init__.py")):
        room = file.parent.name
        body = ast.parse(file.read_text(encoding="utf-8")).body
        imports = {name.name: node.module for node in body if isinstance(node, ast.ImportFrom) for name in node.names}
        for node in body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                public = set(ast.literal_eval(node.value))
                found |= {name: (room, f"{module}.{name}") for name, module in imports.items() if name in public}
    return found
