from __future__ import annotations

import sys

import pytest
import warm_processes
from commands import phase_folder, run_by_hand


@pytest.mark.ddp
def test_ranks_with_different_settings_stop_before_the_first_step(tmp_path):
    folders = [phase_folder(tmp_path / "0"), phase_folder(tmp_path / "1", "objective.settings={}", "dsink.alpha=3")]
    for code, said in run_by_hand(folders):
        assert code == 1
        assert "`dsink.alpha` must be equal on all ranks of one training; got 10.0 on rank 0, 3.0 on rank 1." in said
        assert "@epoch" not in said
        assert "Traceback" not in said
    assert not list(tmp_path.glob("*/outcome.json"))


@pytest.mark.slow
@pytest.mark.ddp
def test_ranks_that_all_differ_from_their_driver_stop_too(tmp_path):
    folder = phase_folder(tmp_path / "0", manifest="0" * 64)
    for code, said in run_by_hand([folder, folder]):
        assert code == 1
        assert f"`manifest` must be that of the process that started the ranks, '{'0' * 64}'; got '" in said


@pytest.mark.ddp
def test_a_training_whose_teachers_are_not_settled_is_refused(tmp_path):
    """A rank that trained a teacher would hold up the others, or train another one."""
    folder = phase_folder(tmp_path / "0", method="dsink", devices=1)
    ((code, said),) = run_by_hand([folder])
    assert code == 1
    assert said.startswith("'seed 0, noise teacher (elr)' must be finished before 'CE' begins; it is not in the store")
    assert not (folder / "rank-0.json").exists()


def test_a_failed_rank_ends_with_its_code_whatever_happens_at_the_interpreters_exit():
    """Seen on a busy machine: threads of a broken process group aborted a rank after its message, code -6."""
    script = (
        "import atexit, os; from lt_callbacks.apps.train import phase_worker; atexit.register(os.abort);"
        "print('why', end=''); phase_worker.leave(1)"
    )
    done = warm_processes.run([sys.executable, "-c", script])
    assert (done.returncode, done.stdout) == (1, "why")
