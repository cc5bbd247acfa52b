"""What the hosting page reads: workflows, forms for issues, and what CI runs."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def jobs_of(path):
    return yaml.safe_load(path.read_text())["jobs"]


def commands_of(path):
    return [step["run"] for job in jobs_of(path).values() for step in job["steps"] if "run" in step]


def test_these_workflows_are_there():
    assert [path.stem for path in WORKFLOWS] == ["docs", "lint", "release", "tests"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_an_action_is_pinned_to_a_commit(path):
    used = re.findall(r"uses: (\S+)(.*)", path.read_text())
    assert used
    for action, comment in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_read_and_ends(path):
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 60 for job in jobs_of(path).values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_makes_what_the_makefile_can(path):
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for command in commands_of(path):
        if command.startswith("make "):
            assert command.split()[1] in targets


def test_the_tests_run_on_each_python_that_the_project_allows():
    (lowest, above) = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text()
    ).groups()
    matrix = jobs_of(ROOT / ".github" / "workflows" / "tests.yml")["tests"]["strategy"]["matrix"]
    assert matrix["python-version"] == [f"3.{minor}" for minor in range(int(lowest), int(above))]


def test_only_a_tag_of_the_packages_version_is_published():
    release = ROOT / ".github" / "workflows" / "release.yml"
    # YAML reads the key `on` as true.
    assert yaml.safe_load(release.read_text())[True] == {"push": {"tags": ["v*"]}}
    jobs = jobs_of(release)
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert 'grep -Fx "__version__ = \\"${GITHUB_REF_NAME#v}\\"" lt_callbacks/__init__.py' in commands_of(release)
    assert re.search(
        r'^__version__ = "\d+\.\d+\.\d+"$', (ROOT / "lt_callbacks" / "__init__.py").read_text(), re.MULTILINE
    )


@pytest.mark.parametrize("name", ["bug", "question"])
def test_a_form_for_issues_is_whole(name):
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert {"name", "description", "body"} <= form.keys()
    for field in form["body"]:
        assert field["type"] == "textarea"
        assert field["attributes"]["label"]
    assert len({field["id"] for field in form["body"]}) == len(form["body"])


def test_ci_checks_and_tests():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[-2:] == ["make check", "make test"]
