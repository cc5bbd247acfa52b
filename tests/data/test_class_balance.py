from __future__ import annotations

import numpy as np
import pytest
import torch

from lt_callbacks.data import ClassBalance

#: Class 2 and the last two of eight are empty.
COUNTS = [600, 200, 0, 50, 6, 1, 0, 0]


@pytest.fixture
def labels() -> torch.Tensor:
    sizes = torch.tensor(COUNTS)
    grouped = torch.repeat_interleave(torch.arange(8), sizes)
    return grouped[torch.randperm(len(grouped), generator=torch.Generator().manual_seed(0))]


def many_draws(balance: ClassBalance, *, num_epochs: int = 40) -> torch.Tensor:
    return torch.cat([balance.draws(seed=3, epoch=epoch) for epoch in range(num_epochs)])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_classes_come_as_often_as_the_formula_says(labels: torch.Tensor, power: float):
    sizes = np.array(COUNTS, dtype=float)
    mass = np.where(sizes > 0, np.maximum(sizes, 1) ** (1 - power), 0)
    expected = mass / mass.sum()
    draws = many_draws(ClassBalance(labels=labels, balance=power))
    share = torch.bincount(labels[draws], minlength=8).numpy() / len(draws)
    deviation = np.sqrt(expected * (1 - expected) / len(draws))
    assert np.abs(share - expected).max() < 4.5 * deviation.max()
    assert (share[sizes == 0] == 0).all()
    assert (share[sizes > 0] > 0).all()


def test_the_default_is_all_classes_alike(labels: torch.Tensor):
    assert torch.equal(
        ClassBalance(labels=labels).draws(seed=0, epoch=0),
        ClassBalance(labels=labels, balance=1.0).draws(seed=0, epoch=0),
    )


def test_samples_of_a_class_come_equally_often(labels: torch.Tensor):
    draws = many_draws(ClassBalance(labels=labels))
    times = torch.bincount(draws, minlength=len(labels))
    for label in (3, 4):
        own = times[labels == label].double()
        assert own.min() > 0
        # A sum of squares over its expectation: chi squared.
        spread = ((own - own.mean()) ** 2).sum() / own.mean()
        assert spread < len(own) - 1 + 5 * (2 * len(own)) ** 0.5


def test_draws_are_a_function_of_seed_and_epoch(labels: torch.Tensor):
    balance = ClassBalance(labels=labels)
    state = torch.get_rng_state()
    first = balance.draws(seed=0, epoch=2)
    assert first.dtype == torch.int64
    assert first.shape == labels.shape
    assert len(balance) == len(labels)
    assert torch.equal(ClassBalance(labels=labels).draws(seed=0, epoch=2), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert len({tuple(balance.draws(seed=seed, epoch=epoch).tolist()) for seed in range(3) for epoch in range(3)}) == 9


def test_class_and_sample_are_drawn_apart():
    # Two classes of equal size: one number for both would tie the sample to the class.
    labels = torch.arange(2).repeat_interleave(50)
    draws = many_draws(ClassBalance(labels=labels), num_epochs=20)
    assert len(draws.unique()) == 100


@pytest.mark.parametrize("label", [0, 5])
def test_one_class_or_one_sample_is_enough(label: int):
    balance = ClassBalance(labels=torch.full((3,), label))
    assert set(many_draws(balance).tolist()) == {0, 1, 2}
    assert ClassBalance(labels=torch.tensor([label], dtype=torch.uint8)).draws(seed=0, epoch=0).tolist() == [0]


@pytest.mark.parametrize(
    ("labels", "balance", "error", "message"),
    [
        ([0, 1], 1.0, TypeError, "`labels` must be a tensor of integers; got list. Pass `torch.as_tensor"),
        (torch.zeros(2), 1.0, TypeError, "`labels` must be a tensor of integers; got torch.float32"),
        (torch.zeros(2, 2).long(), 1.0, ValueError, r"`labels` must have shape \(N,\) with N >= 1; got \(2, 2\). Pass"),
        (torch.zeros(0).long(), 1.0, ValueError, r"with N >= 1; got \(0,\)"),
        (torch.tensor([0, -1]), 1.0, ValueError, "`labels` must be >= 0; got -1. Number the classes from 0"),
        (
            torch.tensor([0, 1]),
            1.5,
            ValueError,
            "`balance` must be a finite number >= 0 and <= 1; got 1.5. 1 draws all",
        ),
    ],
)
def test_wrong_input_is_refused(labels: object, balance: float, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        ClassBalance(labels=labels, balance=balance)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("power", [0.0, 0.3, 1.0])
def test_gpu_has_the_same_draws(labels: torch.Tensor, power: float):
    on_cpu = ClassBalance(labels=labels, balance=power)
    on_gpu = ClassBalance(labels=labels.cuda(), balance=power)
    for epoch in range(20):
        assert torch.equal(on_gpu.draws(seed=1, epoch=epoch).cpu(), on_cpu.draws(seed=1, epoch=epoch))


def test_a_class_number_that_no_memory_has_counts_for_is_named():
    with pytest.raises(
        ValueError, match=r"^`labels` must be <= 16777216; got 1099511627776. Number the classes from 0"
    ):
        ClassBalance(labels=torch.tensor([0, 2**40]))
