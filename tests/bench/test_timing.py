import gc
from types import SimpleNamespace

import pytest

from lt_callbacks.bench import timing
from lt_callbacks.bench.timing import FEWEST_SAMPLES, TimingPlan, interleaved, ratio, summary


@pytest.fixture
def lasting(monkeypatch):
    """Makes calls that last so many seconds by the clock that samples are taken with, however slow the machine is."""
    now = [0.0]
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def lasting(seconds):
        return lambda: now.__setitem__(0, now[0] + seconds)

    return lasting


def test_a_call_that_lasts_longer_has_longer_samples(lasting):
    plan = TimingPlan(rounds=3, sample_seconds=0.004)
    samples = interleaved({"short": lasting(0.001), "long": lasting(0.004)}, plan)
    # Seconds a call, whatever the number of calls a sample.
    assert samples == {"short": pytest.approx([0.001] * 3), "long": pytest.approx([0.004] * 3)}


def test_competitors_take_turns_and_who_begins_moves_on():
    calls = []
    plan = TimingPlan(rounds=2, sample_seconds=0.0)
    interleaved({name: lambda name=name: calls.append(name) for name in "abc"}, plan)
    # Before the rounds each is called twice: to warm up, and to be counted.
    assert calls[:6] == list("aabbcc")
    assert calls[6:] == list("abcbca")


def test_samples_are_filled_with_calls(lasting):
    count, call = 0, lasting(1e-5)

    def quick():
        nonlocal count
        count += 1
        call()

    interleaved({"quick": quick}, TimingPlan(rounds=1, sample_seconds=0.002))
    # The sample itself, beside those calls that find how many fill one.
    assert count > 200


def test_a_slow_competitor_sits_out_but_is_told_by_some_samples(lasting):
    plan = TimingPlan(rounds=6, sample_seconds=0.0, limit_seconds=0.001)
    samples = interleaved({"slow": lasting(0.003), "quick": lambda: None}, plan)
    assert len(samples["slow"]) == FEWEST_SAMPLES
    assert len(samples["quick"]) == 6


def test_the_collector_is_off_within_samples_and_as_before_afterwards():
    seen = []
    interleaved({"a": lambda: seen.append(gc.isenabled())}, TimingPlan(rounds=2, sample_seconds=0.0))
    assert seen[2:] == [False, False]
    assert gc.isenabled()
    gc.disable()
    try:
        interleaved({"a": lambda: None}, TimingPlan(rounds=1, sample_seconds=0.0))
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_summary_is_in_milliseconds():
    found = summary([0.004, 0.001, 0.002, 0.003, 0.010])
    assert found == {"median_ms": 3.0, "quartiles_ms": [2.0, 4.0], "min_ms": 1.0, "num_samples": 5}
    assert summary([0.5])["quartiles_ms"] == [500.0, 500.0]


def test_a_ratio_says_how_many_times_longer_the_first_takes():
    assert ratio(summary([0.006, 0.008]), summary([0.001, 0.006])) == {"by_median": 2.0, "by_min": 6.0}


@pytest.mark.gpu
def test_cuda_events_wait_for_the_device():
    import torch

    matrix = torch.randn(4096, 4096, device="cuda")
    samples = interleaved({"product": lambda: matrix @ matrix}, TimingPlan(rounds=3, device="cuda"))
    # 137 GFLOP cannot be done in a tenth of a millisecond; launching them can.
    assert min(samples["product"]) > 1e-4
