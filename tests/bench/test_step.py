import json

import pytest
import torch

from lt_callbacks.bench import step
from lt_callbacks.bench.images import build_datamodule, made_up
from lt_callbacks.bench.step import CACHED, LIVE, NAIVE, PLAIN, TWO_TEACHERS, StepBench, StepSetting, first_batches
from lt_callbacks.bench.step_profile import PARTS
from lt_callbacks.bench.timing import TimingPlan
from lt_callbacks.plugins import NaiveDistillation
from lt_callbacks.teachers import CachedTeacher

pytestmark = pytest.mark.filterwarnings("ignore:You are trying to `self.log")

QUICK = TimingPlan(rounds=2, sample_seconds=1e-4)
TINY = StepSetting(model="small_cnn", num_classes=3, batch_size=8, teacher_steps=2, fit_steps=2)


@pytest.fixture(scope="module")
def bench():
    return StepBench(TINY, device="cpu", seed=0)


def dsink_of(bench, name):
    return bench.modules[name]._dsink_capture.dsink


def test_every_way_starts_from_the_same_weights_and_trains_its_own(bench):
    fresh = StepBench(TINY, device="cpu", seed=0)
    weights = [torch.cat([p.detach().flatten() for p in m.network.parameters()]) for m in fresh.modules.values()]
    assert all(torch.equal(weights[0], other) for other in weights[1:])
    losses = {name: float(fresh.step(name)) for name in fresh.modules}
    after = [torch.cat([p.detach().flatten() for p in m.network.parameters()]) for m in fresh.modules.values()]
    assert all(not torch.equal(before, now) for before, now in zip(weights, after, strict=True))
    # The teachers that are not used change nothing; those that are, do.
    assert losses[TWO_TEACHERS] == losses[PLAIN]
    assert torch.equal(after[0], after[1])
    assert losses[LIVE] > losses[PLAIN]
    assert len({round(losses[name], 6) for name in (PLAIN, LIVE, CACHED, NAIVE)}) == 4


def test_each_way_asks_its_teachers_as_it_says(bench, monkeypatch):
    calls = []
    original = type(bench.noise).predictions
    monkeypatch.setattr(
        type(bench.noise), "predictions", lambda self, *args, **more: calls.append(1) or original(self, *args, **more)
    )
    counts = {}
    for name in bench.modules:
        calls.clear()
        bench.step(name)
        counts[name] = len(calls)
    assert counts == {PLAIN: 0, TWO_TEACHERS: 2, LIVE: 2, CACHED: 0, NAIVE: 2}
    assert isinstance(dsink_of(bench, CACHED).noise_teacher, CachedTeacher)
    assert isinstance(dsink_of(bench, NAIVE), NaiveDistillation)


def test_cached_predictions_are_the_teachers_on_plain_images(bench):
    images, _, index = next(iter(bench.datamodule.predict_dataloader()))
    expected = bench.noise.log_probs(images, index)
    assert torch.allclose(dsink_of(bench, CACHED).noise_teacher.log_probs(images, index), expected, atol=1e-5)


def test_the_measurements_hold_times_ratios_and_parts(bench):
    bare = bench.measure("bare", QUICK)
    assert bare["rows"].keys() == bench.modules.keys()
    ratio = bare["ratios"]["D-SINK live / CE with two forwards"]
    expected = bare["rows"][LIVE]["median_ms"] / bare["rows"][TWO_TEACHERS]["median_ms"]
    assert ratio["by_median"] == pytest.approx(expected, abs=1e-3)
    assert bare["sweeps"] >= 1
    shares = bench.measure("profile", QUICK)["shares"]
    assert list(shares) == [*PARTS, "step"]
    assert sum(shares[part]["share"] for part in PARTS) == pytest.approx(1.0, abs=1e-3)
    assert min(shares[part]["median_ms"] for part in PARTS[:-1]) > 0


def test_watching_a_step_leaves_nothing_behind(bench):
    module = bench.modules[LIVE]
    backward = torch.Tensor.backward
    bench.measure("profile", QUICK)
    assert torch.Tensor.backward is backward
    assert "forward" not in vars(module.network)
    assert "loss" not in vars(dsink_of(bench, LIVE))
    assert "predictions" not in vars(dsink_of(bench, LIVE).noise_teacher)


def test_the_document_has_the_three_measurements_and_is_continued(tmp_path):
    settings = {"output": tmp_path, "command": "lt-bench step", "trace": True}
    first = step.run([TINY], QUICK, **settings)
    assert list(first.measurements) == [f"small_cnn C=3: {part}" for part in ("bare", "fit", "profile")]
    trace = json.loads((tmp_path / "bench-step-small_cnn-3-trace.json").read_text())
    assert any("conv" in str(event.get("name")) for event in trace["traceEvents"])
    said = []
    second = step.run([TINY], QUICK, output=tmp_path, command="again", say=said.append)
    assert second.measurements == first.measurements
    assert said == ["small_cnn C=3: kept from bench-step.json"]


def test_a_batch_larger_than_the_data_is_refused():
    data = build_datamodule(made_up(num_classes=3, num_train=30, num_test=3, seed=0), batch_size=64, seed=0)
    with pytest.raises(ValueError, match="`--batch-size` must be at most the number of training samples"):
        first_batches(data, 2, device="cpu")
