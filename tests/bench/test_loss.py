import pytest
import torch

from lt_callbacks.bench import loss
from lt_callbacks.bench.loss import OURS, exact_gradient, ways
from lt_callbacks.bench.problems import Problem, predictions
from lt_callbacks.bench.timing import TimingPlan

PROBLEM = Problem("corr", 32, 6, 3.0)
QUICK = TimingPlan(rounds=2, sample_seconds=1e-4)


def test_all_ways_make_the_exact_gradient():
    exact = exact_gradient(PROBLEM, seed=0)
    for name, way in ways(PROBLEM, device="cpu", seed=0).items():
        assert float((way().double() - exact).abs().max()) < 0.02 * float(exact.abs().max()), name


def test_the_exact_gradient_is_that_of_the_divergence():
    student, noise, imbalance = (logits.double() for logits in predictions(PROBLEM))
    student.requires_grad_()
    q = student.detach().softmax(dim=1) - 32 * exact_gradient(PROBLEM, seed=0)
    assert torch.allclose(q.sum(dim=0), imbalance.softmax(dim=1).sum(dim=0))
    loss = (q * (q.log() - student.log_softmax(dim=1))).sum(dim=1).mean()
    assert torch.allclose(torch.autograd.grad(loss, student)[0], exact_gradient(PROBLEM, seed=0))


def test_a_random_problem_has_no_third_model():
    with pytest.raises(ValueError, match="`problem` must be of mode corr; got random:8x4:1"):
        predictions(Problem("random", 8, 4, 1.0))


def test_the_document_has_times_and_errors_and_is_continued(tmp_path):
    first = loss.run([PROBLEM], QUICK, output=tmp_path, command="lt-bench loss")
    found = first.measurements[PROBLEM.name]
    assert 0 < max(row["gradient_error"] for row in found["rows"].values()) < found["largest_gradient"]
    name = next(name for name in found["rows"] if name != OURS)
    expected = found["rows"][name]["median_ms"] / found["rows"][OURS]["median_ms"]
    assert found["ratios"][name]["by_median"] == pytest.approx(expected, abs=1e-3)
    said = []
    second = loss.run([PROBLEM], QUICK, output=tmp_path, command="", say=said.append)
    assert second.measurements == first.measurements
    assert said == ["corr:32x6:3: kept from bench-loss.json"]
