"""The callback killed at any moment, and run again."""

from __future__ import annotations

import multiprocessing
import os
import signal

import pytest
from adsa_small import distilled_set, fresh, hashes, relabel

from lt_callbacks.distilled_set import SoftLabels
from lt_callbacks.plugins import ADSACallback

pytestmark = pytest.mark.filterwarnings("ignore:Over-correction", "ignore:Less than", "ignore:tau = ", "ignore:.*fork")

NUM_VIEWS = 3
# Marker, images, set, facts of the labels, views, three figures, result.
NUM_WRITES = 4 + NUM_VIEWS + 3 + 1


@pytest.fixture
def source(tmp_path):
    distilled_set().save(tmp_path / "in")
    return tmp_path / "in"


def die_at_write(number, source, output, seed):
    """Relabel, and be killed when the file of this number lies complete under its temporary name."""
    flush, count = os.fsync, iter(range(1, 100))

    def fsync(descriptor):
        # What has no name is a place tried out, not a file that stays.
        if os.fstat(descriptor).st_nlink and next(count) == number:
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
