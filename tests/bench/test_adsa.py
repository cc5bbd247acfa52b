import pytest
import torch

from lt_callbacks.adsa import fit_tau
from lt_callbacks.bench import adsa
from lt_callbacks.bench.adsa import HELD, LOOP, STREAMING, Stream, fit_held, fit_loop, fit_streaming
from lt_callbacks.bench.timing import TimingPlan

STREAM = Stream(90, 5, batch_size=20, step=0.05)


def test_a_stream_has_so_many_images_without_holding_them():
    stream = Stream(1000, 5, batch_size=20)
    held = stream.held()
    assert len(held) == adsa.NUM_HELD
    sizes = [len(logits) for logits, _ in STREAM.batches(STREAM.held())]
    assert sizes == [20, 20, 20, 20, 10]
    assert sum(len(logits) for logits, _ in stream.batches(held)) == 1000


def test_the_three_ways_fit_the_same_tau():
    held = STREAM.held()
    parts = list(STREAM.batches(held))
    logits, intended = (torch.cat([part[place] for part in parts]) for place in (0, 1))
    expected = fit_tau(logits, intended, STREAM.prior).tau
    assert -0.9 < expected < 3.9
    assert fit_streaming(STREAM, held) == pytest.approx(expected, abs=1e-6)
    # Over a grid, to its step.
    for fit in (fit_loop, fit_held):
        assert fit(STREAM, held) == pytest.approx(expected, abs=0.051)


@pytest.mark.slow
def test_time_memory_and_tau_of_all_ways_are_in_the_document(tmp_path):
    plan = TimingPlan(rounds=2, sample_seconds=1e-4)
    said = []
    first = adsa.run([STREAM], plan, output=tmp_path, command="lt-bench adsa", say=said.append)
    measured = first.measurements["90 x 5"]
    assert list(measured["rows"]) == [STREAMING, LOOP, HELD]
    assert all({"median_ms", "tau", "peak_mib"} <= row.keys() for row in measured["rows"].values())
    expected = measured["rows"][LOOP]["median_ms"] / measured["rows"][STREAMING]["median_ms"]
    assert measured["ratios"][LOOP]["by_median"] == pytest.approx(expected, abs=1e-3)
    said.clear()
    assert adsa.run([STREAM], plan, output=tmp_path, command="", say=said.append).measurements == first.measurements
    assert said == ["90 x 5: kept from bench-adsa.json"]
