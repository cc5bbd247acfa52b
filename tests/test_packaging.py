"""What is installed: the package with its configs, whichever way it was installed, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml

import lt_callbacks

ROOT = Path(__file__).parents[1]

# Composes `lt-train`'s config and one for another project; prints where both packages were found.
COMPOSE = """
import sys
import lt_callbacks, lt_callbacks.conf
print(lt_callbacks.__file__)
print(lt_callbacks.conf.__file__)
from hydra import compose, initialize_config_module
from lt_callbacks.apps.config.register import register_schemas
register_schemas()
with initialize_config_module("lt_callbacks.conf", version_base="1.3"):
    config = compose("train", overrides=["output=out", "noise=pair_flip", "data=cifar10"])
print(config.noise.kind, config.data.name, config.callbacks.proxy_label_monitor._target_)
"""

# Makes a page of the report; prints where the package was found, and whether style and script are in it.
PAGE = """
import lt_callbacks
from lt_callbacks.evaluation.pages.html_page import html_page
page = html_page(title="a < b", summary="c", sections=[])
print(lt_callbacks.__file__, "<h1>a &lt; b</h1>" in page, "--page: #ffffff" in page, "aria-sort" in page)
"""

# Another project's own script, beside its own configs.
OTHER = """
import hydra
@hydra.main(config_path="configs", config_name="train", version_base="1.3")
def main(config):
    print(config.callbacks.dsink._target_, config.model.net._target_)
main()
"""
OTHER_CONFIG = """
defaults: [_self_, {callbacks: dsink}]
model: {net: {_target_: torch.nn.Identity}}
hydra:
  searchpath: [pkg://lt_callbacks.conf]
  run: {dir: .}
  output_subdir: null
"""


def run(arguments, **options):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The content of a wheel that was built from the files of this repository."""
    folder = tmp_path_factory.mktemp("wheel")
    # A copy: a build leaves folders behind.
    for name in ("lt_callbacks", "conf", "tests", "docs", "examples"):
        ignored = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(ROOT / name, folder / "project" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "project" / name)
    run(["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(folder / "project")])
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def with_wheel_first(unpacked):
    # Before site-packages, where an editable install would find the repository.
    return {**os.environ, "PYTHONPATH": str(unpacked)}


@pytest.mark.slow
def test_the_wheel_holds_the_package_with_its_configs_and_nothing_else(unpacked):
    (facts,) = unpacked.glob("*.dist-info")
    found = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    found -= {name for name in found if name.startswith(facts.name)}
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "lt_callbacks").rglob("*.py")}
    configs = {
        f"lt_callbacks/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "conf").rglob("*")
        if path.suffix in (".yaml", ".py")
    }
    pages = {
        f"lt_callbacks/evaluation/pages/templates/{name}"
        for name in (
            *("page.css", "page.js", "page.html.jinja"),
            *(f"{block}.html.jinja" for block in ("code", "facts", "paragraph", "picture", "table")),
        )
    }
    assert found == package | configs | pages | {"lt_callbacks/py.typed"}


@pytest.mark.slow
def test_a_page_is_made_from_the_wheel(unpacked, tmp_path):
    (page,) = run(["-c", PAGE], cwd=tmp_path, env=with_wheel_first(unpacked))
    assert page == f"{unpacked / 'lt_callbacks' / '__init__.py'} True True True"


@pytest.mark.slow
def test_the_wheel_says_what_it_is(unpacked):
    (facts,) = unpacked.glob("*.dist-info")
    text = (facts / "METADATA").read_text()
    assert f"\nVersion: {lt_callbacks.__version__}\n" in text
    assert "\nLicense-Expression: Apache-2.0\n" in text
    # 2.6.2 and 2.6.3 are malicious releases.
    (lightning,) = re.findall(r"^Requires-Dist: (lightning[^;\n]*)$", text, flags=re.MULTILINE)
    assert "!=2.6.2" in lightning
    assert "!=2.6.3" in lightning
    assert "lt-train = lt_callbacks.apps.train.command:main" in (facts / "entry_points.txt").read_text()
    # An entry point of Lightning's would put callbacks into everybody's trainer.
    assert "lightning.pytorch" not in (facts / "entry_points.txt").read_text()


@pytest.mark.slow
def test_the_configs_are_reachable_from_the_wheel(unpacked, tmp_path):
    package, conf, composed = run(["-c", COMPOSE], cwd=tmp_path, env=with_wheel_first(unpacked))
    assert Path(package) == unpacked / "lt_callbacks" / "__init__.py"
    assert Path(conf) == unpacked / "lt_callbacks" / "conf" / "__init__.py"
    assert composed == "pair_flip cifar10 lt_callbacks.ProxyLabelMonitor"


@pytest.mark.slow
def test_another_project_finds_the_configs_in_the_wheel(unpacked, tmp_path):
    assert other_project(tmp_path, env=with_wheel_first(unpacked)) == ["lt_callbacks.DSinkCallback torch.nn.Identity"]


def test_the_configs_are_reachable_from_this_installation(tmp_path):
    package, conf, composed = run(["-c", COMPOSE], cwd=tmp_path)
    assert Path(package) == Path(lt_callbacks.__file__)
    assert Path(conf) in (ROOT / "conf" / "__init__.py", Path(package).parent / "conf" / "__init__.py")
    assert composed == "pair_flip cifar10 lt_callbacks.ProxyLabelMonitor"


def test_another_project_finds_the_configs_in_this_installation(tmp_path):
    assert other_project(tmp_path) == ["lt_callbacks.DSinkCallback torch.nn.Identity"]


def other_project(folder, **options):
    (folder / "configs").mkdir()
    (folder / "configs" / "train.yaml").write_text(OTHER_CONFIG)
    (folder / "train.py").write_text(OTHER)
    return run(["train.py"], cwd=folder, **options)


def test_the_commands_are_installed():
    found = {command.name: command.value for command in distribution("lt_callbacks").entry_points}
    assert found == {
        "lt-distill": "lt_callbacks.apps.distill.command:main",
        "lt-predict": "lt_callbacks.apps.predict.command:main",
        "lt-report": "lt_callbacks.apps.report.command:main",
        "lt-bench": "lt_callbacks.bench.command:main",
        "lt-train": "lt_callbacks.apps.train.command:main",
    }


def test_nothing_is_put_into_everybodys_trainer():
    assert {entry.group for entry in distribution("lt_callbacks").entry_points} == {"console_scripts"}


def test_the_version_stands_in_one_place():
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project
    assert 'version = { attr = "lt_callbacks.__version__" }' in project
    assert not re.search(r'^version = "', project, flags=re.MULTILINE)


def test_the_citation_names_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert str(citation["version"]) == lt_callbacks.__version__
    assert {"cff-version", "message", "title", "authors", "version"} <= citation.keys()
    assert all({"type", "title", "authors"} <= paper.keys() for paper in citation["references"])
