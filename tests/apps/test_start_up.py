"""Commands answer at once what needs no training: torch alone takes seconds to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment
from patience import PATIENCE

HEAVY = {"torch", "lightning", "torchvision", "torchmetrics", "numpy", "scipy", "sklearn", "matplotlib"}

# As typed, but for what it says at the end: which modules it has imported.
COMMAND = """
import sys
from {module} import main
sys.argv[0] = "a-command"
try:
    main()
finally:
    print("imported:", *{{name.partition(".")[0] for name in sys.modules}})
"""


def answer(module: str, *arguments: str) -> tuple[str, set[str]]:
    """What a command says, and which packages it imported."""
    command = [sys.executable, "-c", COMMAND.format(module=module), *arguments]
    # Not from the project's root, whose package would come before any other.
    place = Path(__file__).parent
    done = subprocess.run(command, cwd=place, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    said, _, imported = done.stdout.rpartition("imported:")
    return said + done.stderr, set(imported.split())


@pytest.mark.parametrize("command", ["train", "distill"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], "== Configuration groups =="),
        (["--help", "imbalance.factor=3"], "factor: 3.0"),
        (["--cfg", "job"], "imbalance:"),
        (["--info"], "Config search path"),
        (["noise.ratoi=1"], "got 'ratoi'. Did you mean 'ratio'?"),
        (["+noise.ratoi=1"], "got 'ratoi'. Did you mean 'ratio'?"),
        (["noise.ratio=high"], "could not be converted to Float"),
        (["experiment=misspelt"], "Could not find 'experiment/misspelt'"),
        (["data=misspelt"], "Could not find 'data/misspelt'"),
        (["manifest=???"], "`manifest` must be given; got nothing."),
        (["-m", "noise.ratoi=1,2", "hydra/launcher=basic"], "got 'ratoi'. Did you mean 'ratio'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_command_answers_without_torch_what_needs_none(tmp_path, command, arguments, expected):
    places = [] if arguments[0].startswith("--") else [f"hydra.run.dir={tmp_path}", f"hydra.sweep.dir={tmp_path}"]
    said, imported = answer(f"lt_callbacks.apps.{command}.command", *arguments, *places)
    assert expected in said
    assert "hydra" in imported
    assert not HEAVY & imported


def test_a_run_does_import_it(tmp_path):
    # What the tests above look for would be found.
    said, imported = answer("lt_callbacks.apps.train.command", "noise.ratio=7", f"hydra.run.dir={tmp_path}")
    assert "`noise.ratio` must be" in said
    assert HEAVY & imported >= {"torch", "lightning", "numpy"}


@pytest.mark.parametrize("module", ["apps.report.command", "apps.predict.command", "bench.command"])
def test_the_help_of_other_commands_needs_no_torch(module):
    said, imported = answer(f"lt_callbacks.{module}", "--help")
    assert "usage: " in said
    assert not {"torch", "lightning", "matplotlib"} & imported
