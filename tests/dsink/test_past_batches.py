from __future__ import annotations

import copy

import pytest
import torch
from dsink_rank_workers import FIXED
from teacher_batches import predictions

from lt_callbacks.dsink import ProxyLabeler
from lt_callbacks.dsink.past_batches import PastBatches


def test_a_batch_is_joined_by_those_before_it_oldest_first():
    past = PastBatches(length=2)
    kernels = [torch.full((n, 3), float(n)) for n in (1, 2, 3, 4)]
    marginals = [torch.tensor([n, 0.0, 0.0]) for n in (1.0, 2.0, 3.0, 4.0)]
    found = [past.join(kernel, marginal) for kernel, marginal in zip(kernels, marginals, strict=True)]
    assert [kernel[:, 0].tolist() for kernel, _ in found] == [
        [1.0],
        [2.0] * 2 + [1.0],
        [3.0] * 3 + [1.0] + [2.0] * 2,
        [4.0] * 4 + [2.0] * 2 + [3.0] * 3,
    ]
    assert [marginal.tolist() for _, marginal in found] == [[n, 0.0, 0.0] for n in (1.0, 3.0, 6.0, 9.0)]


def test_without_a_length_nothing_is_remembered():
    past = PastBatches(length=0)
    kernel, marginal = torch.zeros(2, 3), torch.ones(3)
    for _ in range(2):
        joined = past.join(kernel, marginal)
        assert joined[0] is kernel
        assert joined[1] is marginal
    assert past.state() == []


def test_queued_batches_join_the_transport_but_not_the_answer():
    batches = [predictions(8, 4, seed=seed) for seed in range(4)]
    labeler = ProxyLabeler(queue_batches=2, **FIXED)
    alone = ProxyLabeler(**FIXED)(*batches[0])
    torch.testing.assert_close(labeler(*batches[0]).labels, alone.labels)
    for last in (1, 2, 3):
        # The present batch comes first, then the two before it, oldest first; the fourth has pushed out the first.
        joint = [batches[last], *batches[max(last - 2, 0) : last]]
        expected = ProxyLabeler(**FIXED)(*(torch.cat(parts) for parts in zip(*joint, strict=True)))
        got = labeler(*batches[last])
        assert got.labels.shape == (8, 4)
        torch.testing.assert_close(got.labels, expected.labels[:8], atol=1e-5, rtol=0)
        torch.testing.assert_close(got.marginal_error, expected.marginal_error, atol=1e-5, rtol=0)
        assert not torch.allclose(got.labels, ProxyLabeler(**FIXED)(*batches[last]).labels, atol=1e-3)


def test_masked_rows_stay_masked_in_the_queue():
    first, second = predictions(8, 4, seed=0), predictions(8, 4, seed=1)
    first[1][3] = torch.nan
    labeler, clean = (ProxyLabeler(queue_batches=1, **FIXED) for _ in range(2))
    labeler(*first)
    kept = torch.arange(8) != 3
    clean(*(part[kept] for part in first))
    torch.testing.assert_close(labeler(*second).labels, clean(*second).labels, atol=1e-5, rtol=0)


@pytest.mark.parametrize("settings", [{"class_marginal": "running"}, {"queue_batches": 2}])
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(settings, tmp_path):
    batches = [predictions(8, 4, seed=seed) for seed in range(6)]
    straight = ProxyLabeler(**settings)
    for batch in batches[:3]:
        straight(*batch)
    torch.save(straight.state_dict(), tmp_path / "state.pt")
    resumed = ProxyLabeler(**settings)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert not torch.equal(ProxyLabeler(**settings)(*batches[3]).labels, copy.deepcopy(straight)(*batches[3]).labels)
    for batch in batches[3:]:
        assert torch.equal(resumed(*batch).labels, straight(*batch).labels)


def test_a_saved_state_is_not_changed_by_later_steps():
    labeler = ProxyLabeler(class_marginal="running", queue_batches=1)
    labeler(*predictions(8, 4))
    state = labeler.state_dict()
    before = copy.deepcopy(state)
    labeler(*predictions(8, 4, seed=1))
    torch.testing.assert_close(state, before)


def test_a_shorter_queue_takes_the_newest_of_a_saved_one():
    batches = [predictions(8, 4, seed=seed) for seed in range(4)]
    long, short = ProxyLabeler(queue_batches=3), ProxyLabeler(queue_batches=1)
    for batch in batches[:3]:
        long(*batch)
        short(*batch)
    resumed = ProxyLabeler(queue_batches=1)
    resumed.load_state_dict(long.state_dict())
    assert torch.equal(resumed(*batches[3]).labels, short(*batches[3]).labels)


def test_a_queue_of_another_dtype_follows_the_batch():
    labeler = ProxyLabeler(queue_batches=2)
    for seed, dtype in enumerate([torch.float32, torch.float64, torch.float32, torch.float32]):
        assert labeler(*predictions(8, 4, seed=seed, dtype=dtype)).labels.dtype == dtype


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_state_loaded_on_the_cpu_is_continued_on_the_gpu():
    labeler = ProxyLabeler(queue_batches=2, class_marginal="running")
    labeler(*predictions(8, 4))
    for seed in (1, 2, 3):
        got = labeler(*(part.cuda() for part in predictions(8, 4, seed=seed)))
        assert got.labels.is_cuda
