from __future__ import annotations

import pytest
import small_modules as m
import torch
from resume_rank_workers import resume_worker
from resumed_modules import (
    STEPS,
    AsksForSteps,
    AugmentsOnTheDevice,
    Interrupt,
    OwnData,
    fit,
    generators,
    set_generators,
)
from spawned_ranks import run_ranks

from lt_callbacks.plugins import ExactResume

EACH_EPOCH = {"every_n_epochs": 1}

#: Lightning reads the loaders' states after `estimated_stepping_batches` has made the loaders, and never loads them.


def every(steps: int) -> dict[str, int]:
    return {"every_n_train_steps": steps}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def interrupted(folder, at: int, **settings) -> dict[str, torch.Tensor]:
    """Weights of a training that failed in step ``at`` and went on elsewhere, where the generators were others."""
    with pytest.raises(KeyError, match=f"interrupted after step {at}"):
        fit(folder, Interrupt(at), **settings)
    assert (folder / "last.ckpt").exists()
    return fit(folder, seed=12345, resumes=True, **settings)


@pytest.mark.parametrize("with_dsink", [False, True])
@pytest.mark.parametrize(
    ("at", "interval"),
    [(STEPS + 1, EACH_EPOCH), (3 * STEPS - 1, EACH_EPOCH), (2, every(1)), (STEPS + 3, every(1)), (2 * STEPS, every(3)),
     (2 * STEPS + 1, every(1))],
)  # fmt: skip
def test_an_interrupted_training_ends_as_the_one_that_was_not(tmp_path, at, interval, with_dsink):
    expected = fit(with_dsink=with_dsink)
    assert same(interrupted(tmp_path, at, every=interval, with_dsink=with_dsink), expected)


@pytest.mark.parametrize(("at", "interval"), [(STEPS + 1, EACH_EPOCH), (STEPS + 3, every(1))])
def test_without_the_callback_it_does_not(tmp_path, at, interval):
    expected = fit(resume=None)
    assert not same(interrupted(tmp_path, at, every=interval, resume=None), expected)


def test_it_does_not_change_a_training_that_nobody_interrupts():
    assert same(fit(draws_in_validation=False), fit(draws_in_validation=False, resume=None))
    assert not same(fit(), fit(seed=1))


def test_a_loader_of_ones_own_resumes_at_the_end_of_an_epoch(tmp_path):
    expected = fit(data=OwnData())
    assert same(interrupted(tmp_path, STEPS + 2, data=OwnData(), every=EACH_EPOCH), expected)


@pytest.mark.parametrize(("at", "interval"), [(STEPS + 1, EACH_EPOCH), pytest.param(STEPS + 3, every(1))])
def test_a_schedule_that_asks_for_its_length_resumes_too(tmp_path, at, interval):
    expected = fit(kind=AsksForSteps)
    assert same(interrupted(tmp_path, at, every=interval, kind=AsksForSteps), expected)


@pytest.mark.parametrize(("at", "interval"), [(STEPS + 1, EACH_EPOCH), (STEPS + 3, every(1))])
def test_random_augmentation_of_whole_batches_resumes_too(tmp_path, at, interval):
    expected = fit(kind=AugmentsOnTheDevice)
    assert same(interrupted(tmp_path, at, every=interval, kind=AugmentsOnTheDevice), expected)


def test_what_a_validation_draws_does_not_matter():
    assert same(fit(), fit(draws_in_validation=False))


def test_the_checkpoint_holds_tensors_and_plain_values(tmp_path):
    fit(tmp_path, every=EACH_EPOCH, with_dsink=True)
    content = torch.load(tmp_path / "last.ckpt", weights_only=True)
    (saved,) = content["callbacks"]["ExactResume"]["ranks"]
    assert {"python", "numpy", "torch"} <= saved.keys()


def next_draws(callback: ExactResume) -> tuple[float, float, float]:
    """What the generators give in the first step after ``callback`` was loaded."""
    set_generators(99)
    trainer = m.trainer()
    callback.on_train_start(trainer, None)
    callback.on_train_epoch_start(trainer, None)
    # The loaders draw before the first batch.
    generators()
    callback.on_train_batch_start(trainer, None, None, 0)
    return generators()


@pytest.mark.parametrize("draw", [0, 1, 2], ids=["python", "numpy", "torch"])
def test_every_generator_goes_on_where_it_was(tmp_path, draw):
    set_generators(3)
    # One number of a normal pair is kept for the next call: part of the state.
    generators()
    running = ExactResume()
    running.on_train_batch_end(m.trainer(), None, None, None, 0)
    torch.save(running.state_dict(), tmp_path / "state.pt")
    expected = generators()
    resumed = ExactResume()
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert next_draws(resumed)[draw] == expected[draw]


def test_a_checkpoint_of_before_the_first_step_holds_nothing():
    assert ExactResume().state_dict() == {}
    callback = ExactResume()
    callback.load_state_dict({})
    set_generators(99)
    expected = generators()
    assert next_draws(callback) == expected


def test_the_next_fit_with_the_callback_starts_from_the_generators_that_it_finds():
    callback = ExactResume()
    fit(resume=callback)
    assert same(fit(resume=callback, seed=7), fit(seed=7))


def test_the_next_fit_after_one_that_failed_does_so_too():
    callback = ExactResume()
    with pytest.raises(KeyError):
        fit(None, Interrupt(2), resume=callback)
    assert same(fit(resume=callback, seed=7), fit(seed=7))


@pytest.mark.parametrize("num_saved", [0, 2, 3])
def test_a_checkpoint_of_another_number_of_ranks_is_refused(num_saved):
    callback = ExactResume()
    callback.on_train_start(m.trainer(), None)
    (state,) = callback.state_dict()["ranks"]
    text = f"must be of as many ranks as resume it, 1; it was saved by {num_saved}. Resume with the same number"
    with pytest.raises(RuntimeError, match=text):
        ExactResume().load_state_dict({"ranks": [state] * num_saved})


@pytest.mark.slow
@pytest.mark.ddp
def test_each_rank_goes_on_with_its_own_generators(tmp_path):
    run_ranks(resume_worker, tmp_path)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for rank in ranks:
        assert rank["num_saved"] == 2
        assert rank["got"] == rank["expected"]
    assert all(a != b for a, b in zip(ranks[0]["got"], ranks[1]["got"], strict=True))
    with pytest.raises(RuntimeError, match="as many ranks as resume it, 1; it was saved by 2"):
        ExactResume().load_state_dict(torch.load(tmp_path / "saved.pt", weights_only=True))
