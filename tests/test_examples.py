"""Every example runs as a reader would run it, shortened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import warm_processes
from patience import PATIENCE

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
    finished = warm_processes.run([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, env=environment)
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "%" in finished.stdout


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("launcher", ["lightning", "torchrun"])
def test_the_example_of_several_devices(launcher, tmp_path):
    script = [str(EXAMPLES / "several_devices.py"), "2"]
    start = [sys.executable, "-W", "ignore"]
    if launcher == "torchrun":
        start += ["-m", "torch.distributed.run", "--nproc-per-node=2"]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    for epochs in ("1", "2") if launcher == "torchrun" else ("2",):
        finished = subprocess.run(
            [*start, script[0], epochs], capture_output=True, text=True, timeout=PATIENCE, cwd=tmp_path, env=environment
        )
        assert finished.returncode == 0, finished.stderr[-3000:]
        assert finished.stdout.count("% on 2 ranks") == 1
        assert (tmp_path / "runs" / "several_devices" / "last.ckpt").is_file()
    teachers = list((tmp_path / ".cache" / "lt_callbacks" / "teachers").glob("*/teacher.json"))
    # A second call, with longer teachers, went on with the model.
    assert len(teachers) == (4 if launcher == "torchrun" else 2)


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.timeout(2 * PATIENCE)
def test_the_example_of_a_sweep(tmp_path):
    commands = Path(sys.executable).parent
    environment = {"HOME": str(tmp_path), "PATH": f"{commands}{os.pathsep}/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        ["sh", str(EXAMPLES / "sweep.sh"), "2"],
        capture_output=True,
        text=True,
        timeout=1.5 * PATIENCE,
        cwd=tmp_path,
        env=environment,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    assert "6 of 6 jobs in runs/sweep are done." in finished.stderr
    assert (tmp_path / "runs" / "sweep" / "report" / "report.html").is_file()
