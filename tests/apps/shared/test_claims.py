from __future__ import annotations

import io
import json
import signal
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from made_results import method_result
from patience import PATIENCE

from lt_callbacks._lease import Lease
from lt_callbacks.apps.shared.claims import RowClaims, claimed_folder
from lt_callbacks.apps.shared.preemption import Preempted, Preemption
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.evaluation import ResultFile, read_result


def claimed(folder, **changes):
    given = {"results": folder / "metrics.json", "waits": False, "preemption": Preemption(), **changes}
    return claimed_folder(folder, **given)


def test_a_second_run_in_a_folder_is_told_at_once_who_works_there_and_what_to_do(tmp_path):
    folder = tmp_path / "run"
    with claimed(folder):
        text = (
            r"^`output` must be a folder that no other run is writing to; got '.*run', where host \S+, process \d+ is at "
            r"work\. Wait for it, or stop it\. To share its work, start this one in a folder of its own and with the "
            r"same document: hydra\.run\.dir=\.\.\. results=.*metrics\.json$"
        )
        with pytest.raises(ValueError, match=text), claimed(folder):
            pytest.fail("two runs in one folder")
        # It did not take the folder from the first.
        with pytest.raises(ValueError, match="is at work"), claimed(folder):
            pytest.fail("two runs in one folder")
    assert not list(folder.iterdir())
    with claimed(folder):
        pass


def test_a_folder_is_given_back_after_an_error(tmp_path):
    with pytest.raises(KeyError), claimed(tmp_path):
        raise KeyError("training failed")
    assert not list(tmp_path.iterdir())


def test_a_run_that_was_killed_keeps_nobody_out(tmp_path):
    held = claimed(tmp_path)
    held.__enter__()
    file = tmp_path / ".in-use" / "0"
    # Of a process of this machine that is gone.
    file.write_text(json.dumps({**json.loads(file.read_text()), "born": "0"}))
    with claimed(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_job_of_a_sweep_waits_for_the_one_before(tmp_path, capsys):
    entered, leave = threading.Event(), threading.Event()

    def before():
        with claimed(tmp_path):
            entered.set()
            leave.wait(PATIENCE)

    thread = threading.Thread(target=before)
    thread.start()
    assert entered.wait(PATIENCE)
    threading.Timer(0.3, leave.set).start()
    with claimed(tmp_path, waits=True):
        assert leave.is_set()
    thread.join()
    assert f"which works in {tmp_path}.\n" in capsys.readouterr().err


def test_who_waits_for_a_folder_can_be_asked_to_stop(tmp_path):
    preemption = Preemption()
    preemption.signal = signal.SIGTERM
    with claimed(tmp_path):
        with (
            pytest.raises(Preempted, match="asked to stop while it waited"),
            claimed(tmp_path, waits=True, preemption=preemption),
        ):
            pytest.fail("two runs in one folder")
        assert (tmp_path / ".in-use" / "0").exists()


class Process:
    """One of several that share a document."""

    def __init__(self, folder: Path, *, setting: str = "") -> None:
        self.log, self.preemption = io.StringIO(), Preemption()
        self.document = ResultFile(folder / "shared.json", command="lt-train", settings={})
        progress = RunProgress(total=9, stream=self.log)
        self.claims = RowClaims(self.document, setting=setting, progress=progress, preemption=self.preemption)

    def row(self, title="CE", *, seed=0, waits=False):
        return self.claims.row(title, seed=seed, waits=waits)

    @contextmanager
    def working(self, title="CE", *, seed=0):
        """On a row, which it finishes at the end of the block."""
        with self.row(title, seed=seed) as is_open:
            assert is_open
            yield
            self.claims.add(method_result(title, seed))


def test_a_row_is_one_processes_until_it_is_finished(tmp_path):
    ours, theirs = Process(tmp_path), Process(tmp_path)
    with theirs.working():
        with ours.row() as is_open:
            assert not is_open
        assert ours.claims.settled == set()
        assert "seed 0, CE: left to host" in ours.log.getvalue()
        # Another row, seed or setting is another's.
        for other in (ours.row("D-SINK"), ours.row(seed=1), Process(tmp_path, setting="x").row()):
            with other as is_open:
                assert is_open
    with ours.row() as is_open:
        assert not is_open
    assert (0, "CE") in ours.claims.settled
    assert "seed 0, CE: finished by another process meanwhile" in ours.log.getvalue()


def test_the_document_is_read_again_before_a_row_is_begun(tmp_path):
    ours, theirs = Process(tmp_path), Process(tmp_path)
    with theirs.working():
        pass
    # It was opened before.
    assert not ours.document.is_finished(method="CE", seed=0)
    with ours.row() as is_open:
        assert not is_open


def test_a_row_of_another_process_is_waited_for_at_the_end(tmp_path):
    ours, theirs = Process(tmp_path), Process(tmp_path)
    with ExitStack() as stack:
        work = stack.enter_context(ExitStack())
        work.enter_context(theirs.working())
        waiting = threading.Timer(0.3, work.close)
        waiting.start()
        with ours.row(waits=True) as is_open:
            assert not is_open
        waiting.join()
    assert "seed 0, CE: waiting for host" in ours.log.getvalue()
    assert ours.document.is_finished(method="CE", seed=0)


def test_a_row_whose_process_failed_is_free(tmp_path):
    ours, theirs = Process(tmp_path), Process(tmp_path)
    with pytest.raises(KeyError), theirs.working():
        raise KeyError("training failed")
    with ours.working():
        pass
    ours.claims.close()
    assert [path.name for path in tmp_path.iterdir()] == ["shared.json"]


def test_who_waits_for_a_row_can_be_asked_to_stop_and_who_works_on_it_finishes(tmp_path):
    ours, theirs = Process(tmp_path), Process(tmp_path)
    with theirs.working():
        theirs.preemption.signal = ours.preemption.signal = signal.SIGTERM
        with pytest.raises(Preempted), ours.row(waits=True):
            pytest.fail("two processes on one row")
    assert theirs.document.is_finished(method="CE", seed=0)


def test_a_result_that_another_process_added_first_is_kept(tmp_path):
    ours, theirs = Process(tmp_path), Process(tmp_path)
    theirs.claims.add(method_result("CE", 0, accuracy=70.0))
    ours.claims.add(method_result("CE", 0, accuracy=50.0))
    assert [result.accuracy for result in read_result(tmp_path / "shared.json").results] == [70.0]
    assert "seed 0, CE: another process was faster, its result is kept" in ours.log.getvalue()


def test_at_the_end_nothing_is_left_but_the_claims_of_others(tmp_path):
    ours, theirs = Process(tmp_path), Process(tmp_path)
    with ours.working():
        pass
    # Killed after its row was written.
    lease = Lease(ours.claims._lease("CE", 0, "").folder)
    lease.acquire(unless=lambda: False).__enter__()
    with theirs.working("D-SINK"):
        ours.claims.close()
        (kept,) = (tmp_path / ".shared.json.rows").iterdir()
        assert kept == theirs.claims._lease("D-SINK", 0, "").folder
    theirs.claims.close()
    assert [path.name for path in tmp_path.iterdir()] == ["shared.json"]
    theirs.claims.close()
