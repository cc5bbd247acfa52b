from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from adsa_small import distilled_set, fresh, hashes, relabel
from patience import PATIENCE

from lt_callbacks.distilled_set import DistilledSet, SoftLabels
from lt_callbacks.plugins import ADSACallback
from lt_callbacks.plugins.adsa.run import _on_all_ranks

pytestmark = pytest.mark.filterwarnings("ignore:Over-correction", "ignore:Less than", "ignore:tau = ", "ignore:.*fork")

NUM_VIEWS = 3
# Marker, images, set, facts of the labels, views, three figures, result.
NUM_WRITES = 4 + NUM_VIEWS + 3 + 1


@pytest.fixture
def source(tmp_path):
    distilled_set().save(tmp_path / "in")
    return tmp_path / "in"


# Killed at any moment.


def die_at_write(number, source, output, seed):
    """Relabel, and be killed when the file of this number lies complete under its temporary name."""
    flush, count = os.fsync, iter(range(1, 100))

    def fsync(descriptor):
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(descriptor)

    os.fsync = fsync
    relabel(ADSACallback(source, output=output, num_views=NUM_VIEWS), fresh(seed=seed))


def kill(number, source, output, *, seed=0):
    process = multiprocessing.get_context("fork").Process(target=die_at_write, args=(number, source, output, seed))
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture
def never_killed(source):
    callback = ADSACallback(source, output=source.parent / "reference", num_views=NUM_VIEWS)
    relabel(callback, fresh())
    return hashes(callback.output)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_among_its_views_and_run_again_it_goes_on(source, never_killed):
    output = source.parent / "out"
    assert kill(7, source, output) == -signal.SIGKILL
    labels = SoftLabels.open(output / "soft_labels")
    assert labels.missing_views() == [2]
    # Only a complete folder is an output.
    assert not (output / "adsa.json").exists()
    relabel(ADSACallback(source, output=output, num_views=NUM_VIEWS), fresh())
    assert hashes(output) == never_killed


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_and_run_again_it_writes_what_it_would_have_written(source, never_killed):
    before = hashes(source)
    for number in range(1, NUM_WRITES + 1):
        output = source.parent / f"out-{number}"
        assert kill(number, source, output) == -signal.SIGKILL
        assert not (output / "adsa.json").exists()
        written = list(output.glob("soft_labels/view-*.safetensors"))
        assert len(written) == min(max(number - 5, 0), NUM_VIEWS)
        times = {path: path.stat().st_mtime_ns for path in written}
        relabel(ADSACallback(source, output=output, num_views=NUM_VIEWS), fresh())
        assert hashes(output) == never_killed, number
        # Finished views are not made again.
        assert {path: path.stat().st_mtime_ns for path in written} == times
    assert hashes(source) == before
    assert kill(NUM_WRITES + 1, source, source.parent / "whole") == 0
    assert hashes(source.parent / "whole") == never_killed


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_views_of_another_model_that_was_killed_are_not_taken_over(source, never_killed):
    output = source.parent / "out"
    assert kill(7, source, output, seed=1) == -signal.SIGKILL
    assert len(list(output.glob("soft_labels/view-*.safetensors"))) == 2
    relabel(ADSACallback(source, output=output, num_views=NUM_VIEWS), fresh())
    assert hashes(output) == never_killed


# Several ranks.


class TwoRanks:
    """The other rank's answer is given."""

    def __init__(self, *, other_is_well):
        self.strategy = SimpleNamespace(reduce_boolean_decision=lambda decision: decision and other_is_well)


def test_a_failure_on_one_rank_is_one_on_all():
    def fail():
        raise KeyError("own")

    assert _on_all_ranks(TwoRanks(other_is_well=True), lambda: 3) == 3
    with pytest.raises(KeyError, match="own"):
        _on_all_ranks(TwoRanks(other_is_well=True), fail)
    with pytest.raises(RuntimeError, match="^ADSACallback must succeed on all ranks; another rank failed"):
        _on_all_ranks(TwoRanks(other_is_well=False), lambda: 3)


def run_script(folder, *arguments):
    script = Path(__file__).with_name("adsa_ddp_script.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(script), str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.ddp
def test_two_ranks_find_the_tau_and_write_the_labels_of_one_process(source):
    folder = source.parent
    before = hashes(source)
    finished = run_script(folder)
    assert "DONE" in finished.stdout, finished.stderr[-3000:]
    assert hashes(source) == before
    for name in ("plain", "mixed"):
        fits = [json.loads((folder / f"{name}-rank-{rank}.json").read_text()) for rank in (0, 1)]
        assert fits[0] == fits[1]
        alone = json.loads((folder / "alone" / f"{name}.json").read_text())
        assert fits[0]["tau"] == pytest.approx(alone["tau"], abs=2e-6)
        assert fits[0]["num_images"] == alone["num_images"]
        assert fits[0]["class_confidence"] == pytest.approx(alone["class_confidence"], abs=1e-6)
        together, single = folder / name, folder / "alone" / name
        assert hashes(together).keys() == hashes(single).keys()
        result, expected = (json.loads((path / "adsa.json").read_text()) for path in (together, single))
        assert result["model_sha256"] == expected["model_sha256"]
        assert result["recognised"] == expected["recognised"]
        assert result["entropy"] == pytest.approx(expected["entropy"], abs=1e-5)
        assert result["alarms"] == expected["alarms"]
        assert DistilledSet.load(together) == distilled_set()
        everything = torch.arange(len(distilled_set()))
        for view in range(3):
            labels = [SoftLabels.open(path / "soft_labels").logits(everything, view) for path in (together, single)]
            # One step of float16 at most, where tau differs in its last bit.
            assert torch.allclose(*labels, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.ddp
def test_a_rank_that_fails_ends_all_of_them_and_nothing_is_finished(source):
    finished = run_script(source.parent, "fail")
    assert finished.returncode != 0
    assert "another rank failed" in finished.stderr or "out of memory, say" in finished.stderr
    output = source.parent / "plain"
    assert (output / "adsa.unfinished.json").exists()
    assert not (output / "adsa.json").exists()
