from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
import warm_processes
from commands import environment, is_alive, phase_folder, run_by_hand
from patience import wait_until

from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.train.phase import PHASE, run_ranks


@pytest.mark.ddp
def test_ranks_with_different_settings_stop_before_the_first_step(tmp_path):
    folders = [phase_folder(tmp_path / "0"), phase_folder(tmp_path / "1", "objective.settings={}", "dsink.alpha=3")]
    for code, said in run_by_hand(folders):
        assert code == 1
        assert "`dsink.alpha` must be equal on all ranks of one training; got 10.0 on rank 0, 3.0 on rank 1." in said
        assert "@epoch" not in said
        assert "Traceback" not in said
    assert not list(tmp_path.rglob("trained.json"))


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


def with_trouble(folder: Path, *, rank: int, file: Path | None) -> dict[str, str]:
    """Have a logger fail on a rank of a phase that would go on for ever; the environment in which it is found."""
    content = json.loads((folder / PHASE).read_text())
    settings = {"rank": rank, "file": None if file is None else str(file)}
    content["config"]["logger"] = {"trouble": {"_target_": "trouble_logger.TroubleLogger", **settings}}
    content["training"]["max_epochs"] = 1_000_000
    (folder / PHASE).write_text(json.dumps(content))
    path = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    return environment(PYTHONPATH=os.pathsep.join(filter(None, path)))


@pytest.mark.slow
@pytest.mark.ddp
def test_a_stopped_rank_is_reported_and_goes_on_and_one_that_fails_ends_all_with_its_message(tmp_path):
    folder, file = phase_folder(tmp_path / "phase"), tmp_path / "fail_now"
    variables = with_trouble(folder, rank=1, file=file)
    said: list[str] = []
    process: dict[str, int] = {}

    def stop_and_go_on() -> None:
        try:
            wait_until((folder / "alive-1.json").exists)
            process.update(json.loads((folder / "alive-1.json").read_text()))
            os.kill(process["process"], signal.SIGSTOP)
            wait_until(lambda: any(f"`kill -CONT {process['process']}`" in line for line in said))
            os.kill(process["process"], signal.SIGCONT)
            wait_until(lambda: said[-1] == f"Rank 1 of the training in {str(folder)!r} goes on.")
        finally:
            # Of what fails here, too, the training must hear.
            file.touch()

    thread = threading.Thread(target=stop_and_go_on)
    thread.start()
    with pytest.raises(RuntimeError) as raised:
        run_ranks(folder, variables, Preemption(), say=said.append, silence=10.0)
    thread.join()
    assert [line.split(", and")[0] for line in said if line.startswith("Rank 1")][-2:] == [
        f"Rank 1 of the training in {str(folder)!r} has given no sign of life for 10 s",
        f"Rank 1 of the training in {str(folder)!r} goes on.",
    ]
    assert str(raised.value) == (
        f"Rank 1 of the training in {str(folder)!r} failed: LookupError: the logger lost its server. The whole story "
        f"is in {str(folder / 'log.txt')!r}."
    )
    assert not is_alive(process["process"])


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize(
    ("rank", "meets", "who"),
    [
        (0, True, "Rank 0"),
        (0, False, "A rank that had not met the others yet"),
        (1, False, "A rank that had not met the others yet"),
    ],
)
def test_whichever_rank_fails_and_whenever_it_is_that_ones_message_that_ends_all(tmp_path, rank, meets, who):
    folder = phase_folder(tmp_path / "phase")
    (tmp_path / "now").touch()
    variables = with_trouble(folder, rank=rank, file=tmp_path / "now" if meets else None)
    why = "lost its server" if meets else "has no server"
    with pytest.raises(
        RuntimeError, match=rf"^{who} of the training in .* failed: LookupError: the logger {why}\. The"
    ):
        run_ranks(folder, variables, Preemption())


def test_a_failed_rank_ends_with_its_code_whatever_happens_at_the_interpreters_exit():
    """Seen on a busy machine: threads of a broken process group aborted a rank after its message, code -6."""
    script = (
        "import atexit, os; from lt_callbacks.apps.train import phase_worker; atexit.register(os.abort);"
        "print('why', end=''); phase_worker.leave(1)"
    )
    done = warm_processes.run([sys.executable, "-c", script])
    assert (done.returncode, done.stdout) == (1, "why")
