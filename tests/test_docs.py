import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
import warm_processes
import yaml
from patience import PATIENCE
from test_rooms import LEAVES, MAY_IMPORT, SUB_ROOMS

import lt_callbacks

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{p.relative_to(DOCS)}" for p in DOCS.rglob("*.md"))]


def fill_tables():
    spec = importlib.util.spec_from_file_location("fill_tables", ROOT / "docs" / "fill_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in DOCS.glob("*.md"))])
def test_tables_are_those_of_the_committed_results(page):
    text = (ROOT / page).read_text()
    assert fill_tables().filled(text) == text, "run `make docs`"


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_exist(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"(?:\]\(|<img src=\")([^)#\"]+?)(?:#[^)]*)?[)\"]", text):
        if not target.startswith(("http://", "https://")):
            assert (ROOT / page).parent.joinpath(target.strip("<>")).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_a_list_stands_apart(page):
    """The hosting page takes a list for one right below a paragraph, the site does not."""
    text = re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"^(?![#\s|<-]|\d+\. ).+\n(?:- |1\. )", text, flags=re.MULTILINE)


def test_the_readmes_python_runs(tmp_path):
    """The blocks marked `python` run one after the other, as a reader would paste them."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    setup = f"import sys; sys.path.insert(0, {str(ROOT / 'examples')!r})\n"
    code = setup + "\n".join(blocks).replace("max_epochs=50", "max_epochs=1")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    finished = warm_processes.run(command, cwd=tmp_path, env=environment)
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert re.search(r"^tau = -?\d\.\d\d, 95 % interval ", finished.stdout, re.MULTILINE)
    assert (tmp_path / "distilled-adsa" / "adsa.json").is_file()


def test_the_readme_begins_with_what_a_stranger_needs():
    text = (ROOT / "README.md").read_text()
    explained, used = text.index("**f_L** is trained"), text.index("train_teachers(")
    assert explained < used < text.index("<img ") < text.index("<!-- table:") < text.index("make demo")
    first_block = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len([line for line in first_block.splitlines() if line and "import" not in line]) <= 5
    assert text.count("<img ") == 1


COMMANDS = [
    (page, line)
    for page in PAGES
    # One that `lt-report` wrote has many.
    if "noise-by-imbalance" not in page
    for block in re.findall(r"^```\w*\n(.*?)^```", (ROOT / page).read_text().replace("\\\n", " "), re.DOTALL | re.M)
    for line in block.splitlines()
    if line.startswith(("lt-train", "lt-distill")) and "..." not in line
]


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page}:{line[:60]}" for page, line in COMMANDS])
def test_a_command_in_the_docs_names_settings_that_there_are(page, line):
    from hydra import compose, initialize_config_module

    from lt_callbacks.apps.config.register import register_schemas

    command, *words = line.partition("#")[0].split()
    is_sweep = "-m" in words
    # A launcher or sweeper may be an extra that is not installed.
    words = [word for word in words if "=" in word and not word.startswith(("launcher=", "sweeper=", "hydra."))]
    # A sweep has several values; each job has one.
    words = [re.sub(r",.*", "", word) if is_sweep and "[" not in word else word for word in words]
    register_schemas()
    with initialize_config_module("lt_callbacks.conf", version_base="1.3"):
        compose("train" if command == "lt-train" else "distill", overrides=words)


def test_commands_are_found():
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("group", sorted(path.name for path in (ROOT / "conf").iterdir() if path.is_dir()))
def test_the_choices_of_a_group_are_on_the_pages_of_the_commands(group):
    if group == "__pycache__":
        return
    rows = [
        line
        for page in ("lt-train.md", "lt-distill.md")
        for line in (DOCS / page).read_text().splitlines()
        if line.startswith(f"| `{group}` |")
    ]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)} - {group}
    assert {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")} <= named


def test_every_public_name_is_on_the_first_page_of_the_api():
    text = (DOCS / "api" / "index.md").read_text()
    assert set(re.findall(r"^\| `lt_callbacks\.(\w+)`", text, re.MULTILINE)) == set(lt_callbacks.__all__)


def test_every_room_with_public_names_has_a_page():
    for init in (ROOT / "lt_callbacks").glob("*/__init__.py"):
        room = init.parent.name
        names = [node for node in ast.parse(init.read_text()).body if ast.unparse(node).startswith("__all__ = ")]
        if names:
            assert f"::: lt_callbacks.{room}\n" in (DOCS / "api" / f"{room}.md").read_text()


def rows_of(heading, text):
    section = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(cell):
    return tuple(re.findall(r"`(\w+)`", cell))


def test_the_architecture_has_the_row_of_imports():
    text = (DOCS / "architecture.md").read_text()
    rooms = {names_in(room)[0]: names_in(imports) for room, _, imports in rows_of("The rooms", text)}
    assert rooms == MAY_IMPORT
    # A room stands below those that it imports.
    for room, imports in rooms.items():
        assert all(list(rooms).index(other) < list(rooms).index(room) for other in imports), room
    inner, last = {}, ""
    for room, name, _, imports in rows_of("Rooms inside rooms", text):
        last = names_in(room)[0] if room else last
        inner.setdefault(last, {})[names_in(name)[0]] = names_in(imports)
    assert inner == SUB_ROOMS
    assert all(f"`{leaf}`" in text for leaf in LEAVES)


def test_the_picture_of_the_readme_is_of_rows_of_its_table():
    script = (DOCS / "benchmarks" / "accuracy_by_class.py").read_text()
    methods = re.search(r"METHODS = \((.*)\)", script)[1]
    shown = re.search(r"<!-- table: docs/results/digits.json \| only: (.*) -->", (ROOT / "README.md").read_text())[1]
    assert set(re.findall(r'"(.*?)"', methods)) <= set(shown.split("; "))


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return folder


def hrefs_of(html):
    found = re.findall(r"<(?:a|link|script|img)\b[^>]*?\b(?:href|src)=\"?([^\"\s>]+)", html)
    return [unquote(href) for href in found]


def test_every_link_of_the_site_has_its_end(site):
    pages = {path: path.read_text() for path in site.rglob("*.html") if path.name != "404.html"}
    num_links = 0
    for page, html in pages.items():
        for href in hrefs_of(html):
            file, _, anchor = href.partition("#")
            if re.match(r"(https?|mailto|data|javascript):", file) or page.parent.name == "noise-by-imbalance":
                continue
            target = (page.parent / file).resolve() if file else page
            assert target.exists(), f"{page.relative_to(site)}: {href}"
            if anchor and target in pages:
                assert f'id="{anchor}"' in pages[target] or f"id={anchor}" in pages[target], f"{page.name}: {href}"
            num_links += 1
    assert num_links > 1000


def test_the_site_loads_nothing_over_the_network(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|iframe)\b[^>]*?\bsrc=\"?(https?:[^\"\s>]+)", page.read_text())
        loaded += re.findall(r"<link\b(?![^>]*rel=\"?canonical)[^>]*?\bhref=\"?(https?:[^\"\s>]+)", page.read_text())
        assert not loaded, page
    assert (site / "search" / "search_index.js").is_file()
    assert 'src="site/iframe-worker.js"' in (site / "index.html").read_text()


def test_a_room_shows_its_public_names_and_no_other(site):
    html = (site / "api" / "transport.html").read_text()
    headings = re.findall(r'<h2 id="lt_callbacks\.([\w.]+)"', html)
    assert {name.rpartition(".")[2] for name in headings} == {"SinkhornResult", "sinkhorn"}
    # An example is code, a role is a link.
    assert "&gt;&gt;&gt; " in html
    for page in (site / "api").glob("*.html"):
        assert not re.search(r":(class|func|meth):<code>", page.read_text()), page.name
        assert "<blockquote>" not in page.read_text(), page.name


def test_every_page_is_in_the_navigation(site):
    # `validation.omitted_files` makes the build say so; this is that it was asked for.
    settings = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader=yaml.BaseLoader)
    assert set(settings["validation"].values()) == {"warn"}
    assert settings["theme"]["font"] == "false"
