from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.data import ClassBalance, EpochOrder


def batches(order: EpochOrder) -> list[list[int]]:
    return [key.samples.tolist() for key in order]


def orders(num_samples: int, num_replicas: int, batch_size: int, *, shuffle: bool = True) -> list[EpochOrder]:
    return [
        EpochOrder(
            indices=torch.arange(num_samples),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=1,
            num_replicas=num_replicas,
            rank=rank,
        )
        for rank in range(num_replicas)
    ]


def test_every_sample_once_in_batches_of_the_size_asked_for():
    order = EpochOrder(indices=np.arange(50, 150), batch_size=32, shuffle=True, seed=0)
    got = batches(order)
    assert [len(batch) for batch in got] == [32, 32, 32, 4]
    assert sorted(sum(got, [])) == list(range(50, 150))
    assert len(order) == 4


def test_order_is_a_function_of_seed_and_epoch():
    def at(seed: int, epoch: int) -> list[int]:
        order = EpochOrder(indices=torch.arange(100), batch_size=100, shuffle=True, seed=seed)
        order.set_epoch(epoch)
        return batches(order)[0]

    torch.manual_seed(1)
    first = at(0, 3)
    torch.manual_seed(2)
    assert at(0, 3) == first
    assert len({tuple(at(seed, epoch)) for seed in range(4) for epoch in range(4)}) == 16
    assert at(0, 3) != sorted(first)


def test_global_random_state_is_untouched():
    state = torch.get_rng_state()
    batches(EpochOrder(indices=torch.arange(100), batch_size=7, shuffle=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_place_in_the_order_does_not_depend_on_how_indices_are_listed():
    listed = EpochOrder(indices=torch.arange(20), batch_size=20, shuffle=True)
    reversed_ = EpochOrder(indices=torch.arange(20).flip(0), batch_size=20, shuffle=True)
    assert batches(listed) == batches(reversed_)


def test_every_place_is_equally_likely():
    order = EpochOrder(indices=torch.arange(10), batch_size=10, shuffle=True)
    places = np.zeros((10, 10))
    for epoch in range(2000):
        order.set_epoch(epoch)
        places[np.arange(10), order.order().numpy()] += 1
    assert np.abs(places - 200).max() < 5 * 200**0.5


def test_without_shuffling_the_order_is_that_of_the_indices():
    order = EpochOrder(indices=torch.tensor([5, 1, 9, 3]), batch_size=3, shuffle=False)
    order.set_epoch(4)
    assert batches(order) == [[5, 1, 9], [3]]


def test_keys_carry_the_epoch_set_when_the_first_is_asked_for():
    order = EpochOrder(indices=torch.arange(4), batch_size=2, shuffle=True)
    iterator = iter(order)
    order.set_epoch(7)
    assert [key.epoch for key in iterator] == [7, 7]


def test_start_at_leaves_out_batches_once():
    order = EpochOrder(indices=torch.arange(10), batch_size=3, shuffle=True)
    everything = batches(order)
    order.start_at(2)
    assert batches(order) == everything[2:]
    assert batches(order) == everything


@pytest.mark.parametrize("num_samples", [4, 5, 23, 24, 25, 26, 27, 28, 47, 100])
@pytest.mark.parametrize("batch_size", [1, 6, 300])
def test_ranks_share_out_every_sample_once_in_equally_many_steps(num_samples: int, batch_size: int):
    shares = [batches(order) for order in orders(num_samples, 4, batch_size)]
    assert sorted(sum((sum(share, []) for share in shares), [])) == list(range(num_samples))
    assert {len(share) for share in shares} == {len(orders(num_samples, 4, batch_size)[0])}
    sizes = np.array([[len(batch) for batch in share] for share in shares])
    assert sizes.min() >= 1
    assert sizes.max() <= batch_size + 1
    assert (sizes.max(axis=0) - sizes.min(axis=0)).max() <= 1


def test_ranks_take_the_batches_that_one_process_would():
    together = batches(orders(50, 1, 12)[0])
    shares = [batches(order) for order in orders(50, 4, 3)]
    # 50 = 4 * 12 + 2: the last two are fewer than the ranks and joined to the batch before
    assert [sorted(sum(step, [])) for step in zip(*shares, strict=True)] == [
        *(sorted(batch) for batch in together[:3]),
        sorted(together[3] + together[4]),
    ]


def balanced(num_samples: int, **changes: object) -> EpochOrder:
    settings = {"indices": torch.arange(num_samples) + 100, "batch_size": 4, "shuffle": True, "seed": 1, **changes}
    labels = (torch.arange(num_samples) >= num_samples - 2).long()
    return EpochOrder(class_balance=ClassBalance(labels=labels), **settings)


def test_class_balanced_batches_are_draws_of_the_epoch_among_the_indices():
    order = balanced(30)
    for epoch in (0, 6):
        order.set_epoch(epoch)
        draws = ClassBalance(labels=torch.tensor([0] * 28 + [1] * 2)).draws(seed=1, epoch=epoch)
        assert sum(batches(order), []) == (draws + 100).tolist()
        assert {key.epoch for key in order} == {epoch}
    assert [len(batch) for batch in batches(order)] == [4] * 7 + [2]
    # Two samples of thirty are half of the draws.
    assert 5 < sum(sample >= 128 for sample in sum(batches(order), [])) < 25


def test_class_balanced_ranks_take_the_draws_that_one_process_would():
    together = batches(balanced(30, batch_size=12))
    shares = [batches(balanced(30, num_replicas=3, rank=rank)) for rank in range(3)]
    assert [sorted(sum(step, [])) for step in zip(*shares, strict=True)] == [sorted(batch) for batch in together]


def test_without_shuffling_the_draws_are_the_same_in_every_epoch():
    order = balanced(30, shuffle=False)
    first = batches(order)
    assert first == batches(balanced(30))
    order.set_epoch(3)
    assert batches(order) == first


def test_a_class_balance_of_other_samples_is_refused():
    balance = ClassBalance(labels=torch.zeros(9).long())
    with pytest.raises(ValueError, match="`class_balance` must be of the 10 samples in `indices`; got 9 labels. Pass"):
        EpochOrder(indices=torch.arange(10), batch_size=2, shuffle=True, class_balance=balance)


def test_a_batch_does_not_hold_on_to_the_whole_order():
    key = next(iter(EpochOrder(indices=torch.arange(1000), batch_size=10, shuffle=False)))
    assert key.samples.untyped_storage().nbytes() == 80


def test_fewer_samples_than_ranks_are_refused():
    with pytest.raises(
        ValueError, match=r"`indices` must hold at least one sample a rank, 4; got 3. Use fewer devices"
    ):
        orders(3, 4, 2)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("batch_size", 0, "`batch_size` must be an integer >= 1; got 0"),
        ("seed", -1, "`seed` must be an integer >= 0; got -1"),
        ("num_replicas", 0, "`num_replicas` must be an integer >= 1; got 0"),
        ("rank", 2, "`rank` must be an integer >= 0 and <= 1; got 2"),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, value: int, message: str):
    settings = {"batch_size": 2, "seed": 0, "num_replicas": 2, "rank": 0, name: value}
    with pytest.raises(ValueError, match=message):
        EpochOrder(indices=torch.arange(10), shuffle=True, **settings)


def test_epoch_and_start_out_of_range_are_refused():
    order = EpochOrder(indices=torch.arange(10), batch_size=5, shuffle=True)
    with pytest.raises(ValueError, match="`epoch` must be an integer >= 0; got -1"):
        order.set_epoch(-1)
    with pytest.raises(ValueError, match="`batch` must be an integer >= 0 and <= 2; got 3"):
        order.start_at(3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_has_the_same_order():
    on_cpu = EpochOrder(indices=torch.arange(10_000), batch_size=100, shuffle=True, seed=5)
    on_gpu = EpochOrder(indices=torch.arange(10_000, device="cuda"), batch_size=100, shuffle=True, seed=5)
    assert torch.equal(on_gpu.order().cpu(), on_cpu.order())
