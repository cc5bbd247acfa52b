"""Errors that are raised on purpose are told apart from bugs by their class: read from the source, nothing is run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lt_callbacks import _errors

PACKAGE = Path(__file__).parents[1] / "lt_callbacks"
FILES = sorted(PACKAGE.rglob("*.py"))

#: For the person who made the mistake.
FOR_PEOPLE = {
    name
    for name, value in vars(_errors).items()
    if isinstance(value, type) and issubclass(value, _errors.UserError) and value is not _errors.UserError
}

#: Others, and where: what Python, Lightning or another file of the package asks for.
OTHERS = {
    # What the language wants of a name that is not there.
    "AttributeError": {"__init__.py"},
    # Of the disk, with the name of the file that it was about; shown by whoever knows which setting that belongs to.
    "OSError": {"_files.py", "_writable.py"},
    # Ends of a process that are no errors.
    "SystemExit": {"apps/config/errors.py", "apps/config/interrupts.py", "apps/sweep/sweep.py"},
    "KeyboardInterrupt": {"apps/config/interrupts.py"},
    # `told` gives the stop itself, or Ctrl-C of which a person has been told.
    "BaseException": {"apps/distill/run.py", "apps/sweep/sweep.py", "apps/train/run.py"},
    "Preempted": {
        "apps/shared/claims.py",
        "apps/sweep/job_process.py",
        "apps/train/phase.py",
        "apps/train/unfinished.py",
    },
    # How Hydra, and the other commands, show the message of an error for people.
    "CommandError": {"apps/config/errors.py", "apps/sweep/sweep.py"},
    # How argparse hears that a value is wrong.
    "argparse.ArgumentTypeError": {"bench/options.py"},
    # Caught where solvers are compared: one that falls short is a row of the table.
    "NotReached": {"bench/solvers.py"},
    # What Python, and torch's samplers, expect of a position that is not there.
    "IndexError": {"data/indexed_dataset.py"},
    # Caught by whoever asked for a lease without waiting.
    "LeaseHeldError": {"_lease.py"},
    # Caught by the sweep, which then starts a fresh process.
    "CannotForkError": {"apps/sweep/fork_server.py"},
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


# Functions that make an error for their callers to raise -> the class that they say they return.
MAKERS = {
    node.name: ast.unparse(node.returns)
    for path in FILES
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.FunctionDef) and node.returns is not None
}


def raised(node: ast.Raise) -> str | None:
    """Name of the class that a ``raise`` makes an error of; None where it passes on one that was made elsewhere."""
    if isinstance(node.exc, ast.Call):
        function = node.exc.func
        # `error.renamed(...)` keeps the class.
        if isinstance(function, ast.Attribute) and function.attr == "renamed":
            return None
        name = ast.unparse(function)
        # Of whichever kind: only they take a rule.
        if not name[0].isupper() and any(keyword.arg == "rule" for keyword in node.exc.keywords):
            return None
        return MAKERS.get(name.rpartition(".")[2], name)
    # A variable holds an error, a class begins with a capital.
    name = "" if node.exc is None else ast.unparse(node.exc)
    return name if name.rpartition(".")[2][:1].isupper() else None


def raises(source: str) -> list[tuple[int, str]]:
    """Line and class of every error that is made."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise)]
    return [(node.lineno, name) for node in nodes if (name := raised(node)) is not None]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_an_error_is_for_people_or_on_the_list(path):
    strangers = [
        f"line {line}: {name}"
        for line, name in raises(path.read_text())
        if name not in FOR_PEOPLE and name_of(path) not in OTHERS.get(name, ())
    ]
    assert not strangers, "raise one of lt_callbacks._errors, whose message a command shows without a trace"


def test_the_list_of_others_has_no_strangers():
    found = {(name, name_of(path)) for path in FILES for _, name in raises(path.read_text())}
    assert {(name, place) for name, places in OTHERS.items() for place in places} <= found


def test_the_reader_sees_what_it_is_meant_to():
    source = """
try:
    raise ValueError("a")
except Exception as error:
    raise
def f(error):
    raise error.renamed("b") from error
    raise error
    raise KeyError
    raise module.Problem(1)
    raise DataError("c")
    raise type(error)("d", rule="be", got="not")
    raise type(error)("e")
"""
    assert sorted(raises(source)) == [
        (3, "ValueError"),
        (9, "KeyError"),
        (10, "module.Problem"),
        (11, "DataError"),
        (13, "type(error)"),
    ]
    everything = {name for path in FILES for _, name in raises(path.read_text())}
    assert {"ArgumentValueError", "StateError", "DataError"} <= everything & FOR_PEOPLE
