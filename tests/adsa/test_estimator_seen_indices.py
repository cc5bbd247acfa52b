import pytest
import torch
from spawned_ranks import run_ranks

from lt_callbacks.adsa.estimator import SeenIndices


@pytest.mark.parametrize("seed", range(3))
def test_equals_a_set(seed):
    generator = torch.Generator().manual_seed(seed)
    seen, known = SeenIndices(), set()
    for _ in range(60):
        index = torch.randint(-200, 200, (int(torch.randint(12, (1,), generator=generator)),), generator=generator)
        expected = []
        for value in index.tolist():
            expected.append(value not in known)
            known.add(value)
        assert seen.first_seen(index, None).tolist() == expected


def test_few_runs_are_kept():
    seen = SeenIndices()
    for start in range(0, 3000, 3):
        assert seen.first_seen(torch.arange(start, start + 3), None).all()
        assert sum(len(run) for run in seen._runs) == start + 3
        assert len(seen._runs) <= 11
    assert not seen.first_seen(torch.arange(3000), None).any()


def test_extreme_numbers_are_indices_too():
    limits = torch.iinfo(torch.int64)
    index = torch.tensor([limits.max, limits.min, limits.max, 0])
    seen = SeenIndices()
    assert seen.first_seen(index, None).tolist() == [True, True, False, True]
    assert seen.first_seen(index, None).tolist() == [False] * 4


def worker(rank, folder):
    import torch.distributed as dist

    seen, group = SeenIndices(), dist.group.WORLD
    calls = [
        {0: [5, 6, 5], 1: [6, 7], 2: []},
        {0: [], 1: [5, 8], 2: [8, 9]},
        {0: [9, 1], 1: [1], 2: [0]},
    ]
    answers = [seen.first_seen(torch.tensor(call[rank], dtype=torch.int64), group).tolist() for call in calls]
    torch.save(answers, folder / f"rank{rank}.pt")


@pytest.mark.ddp
@pytest.mark.slow
def test_of_copies_on_several_ranks_the_lowest_has_the_first(tmp_path):
    run_ranks(worker, tmp_path, num_ranks=3)
    assert [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(3)] == [
        [[True, True, False], [], [False, True]],
        [[False, True], [False, True], [False]],
        [[], [False, True], [True]],
    ]
