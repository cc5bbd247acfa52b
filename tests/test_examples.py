"""Every example runs as a reader would run it, shortened."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py") if "def main(" in path.read_text())


def test_all_are_found():
    assert {
        "callback_form.py",
        "dsink_on_a_module.py",
        "own_data_from_csv.py",
        "plain_pytorch_loop.py",
        "read_soft_labels.py",
        "relabel_distilled_set.py",
    } <= set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_example(name, tmp_path):
    code = f"import sys; sys.path.insert(0, {str(EXAMPLES)!r}); import {name[:-3]} as example; assert example.main(2)"
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        timeout=250,
        cwd=tmp_path,
        env=environment,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "%" in finished.stdout
