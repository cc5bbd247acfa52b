import pytest
import torch

from lt_callbacks.bench import gpu
from lt_callbacks.bench.document import measurements_of, read_bench
from lt_callbacks.bench.problems import all_problems, parse_problem
from lt_callbacks.bench.timing import TimingPlan

PLAN = TimingPlan(rounds=2, sample_seconds=1e-3)


def test_the_kernels_problems_are_among_those_of_the_full_table():
    assert {parse_problem(name) for name in gpu.KERNEL_PROBLEMS} <= set(all_problems())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_written(tmp_path):
    with pytest.raises(RuntimeError, match="there is no CUDA device. Use --device cpu"):
        gpu.run(PLAN, output=tmp_path, command="lt-bench gpu", seed=0)
    assert not list(tmp_path.iterdir())


@pytest.mark.gpu
def test_the_kernels_problems_are_measured(tmp_path):
    gpu.run(PLAN, output=tmp_path, command="lt-bench gpu", seed=0, parts=["kernel"])
    measurements = measurements_of(read_bench(tmp_path / "bench-transport.json"))
    assert list(measurements) == list(gpu.KERNEL_PROBLEMS)
    for measurement in measurements.values():
        assert "median_ms" in measurement["solvers"]["naive log-domain"]
        assert "median_ms" in measurement["solvers"]["ours, torch"]
