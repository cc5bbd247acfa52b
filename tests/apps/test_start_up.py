"""Commands answer at once what needs no training: torch alone takes seconds to import."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment
from patience import PATIENCE

HEAVY = {"torch", "lightning", "torchvision", "torchmetrics", "numpy", "scipy", "sklearn", "matplotlib"}

# As typed, but for what it says at the end: which modules it has imported. Each call is a copy of the
# process that has imported the command and done nothing.
COMMAND = """
import json, os, sys, traceback
from {module} import main
for said, arguments in json.load(sys.stdin):
    process = os.fork()
    if process:
        os.waitpid(process, 0)
        continue
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = ["a-command", *arguments]
    try:
        main()
    except SystemExit as end:
        print(end.code if isinstance(end.code, str) else "", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    print("imported:", *{{name.partition(".")[0] for name in sys.modules}}, flush=True)
    os._exit(0)
"""


def answers(module: str, folder: Path, *calls: list[str]) -> list[tuple[str, set[str]]]:
    """What a command says to each list of arguments, and which packages it imported."""
    files = [folder / f"{number}.txt" for number in range(len(calls))]
    asked = json.dumps([(str(file), call) for file, call in zip(files, calls, strict=True)])
    command = [sys.executable, "-c", COMMAND.format(module=module)]
    # Not from the project's root, whose package would come before any other.
    place = Path(__file__).parent
    subprocess.run(command, cwd=place, env=environment(), input=asked, text=True, timeout=PATIENCE, check=True)
    parts = [file.read_text().rpartition("imported:") for file in files]
    return [(said, set(imported.split())) for said, _, imported in parts]


EXPECTED = [
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
]


@pytest.fixture(scope="module", params=["train", "distill"])
def answered(request, tmp_path_factory):
    """Arguments -> what the command said to them, and what it imported."""
    folder = tmp_path_factory.mktemp(request.param)
    places = [f"hydra.run.dir={folder / 'run'}", f"hydra.sweep.dir={folder / 'sweep'}"]
    calls = [arguments for arguments, _ in EXPECTED]
    typed = [call if call[0].startswith("--") else [*call, *places] for call in calls]
    found = answers(f"lt_callbacks.apps.{request.param}.command", folder, *typed)
    return {" ".join(call): answer for call, answer in zip(calls, found, strict=True)}


@pytest.mark.parametrize(
    ("arguments", "expected"), EXPECTED, ids=lambda value: " ".join(value) if isinstance(value, list) else None
)
def test_a_command_answers_without_torch_what_needs_none(answered, arguments, expected):
    said, imported = answered[" ".join(arguments)]
    assert expected in said
    assert "hydra" in imported
    assert not HEAVY & imported


def test_a_run_does_import_it(tmp_path):
    # What the tests above look for would be found.
    ((said, imported),) = answers(
        "lt_callbacks.apps.train.command", tmp_path, ["noise.ratio=7", f"hydra.run.dir={tmp_path}"]
    )
    assert "`noise.ratio` must be" in said
    assert HEAVY & imported >= {"torch", "lightning", "numpy"}


@pytest.mark.parametrize("module", ["apps.report.command", "apps.predict.command", "bench.command"])
def test_the_help_of_other_commands_needs_no_torch(module, tmp_path):
    ((said, imported),) = answers(f"lt_callbacks.{module}", tmp_path, ["--help"])
    assert "usage: " in said
    assert not {"torch", "lightning", "matplotlib"} & imported
