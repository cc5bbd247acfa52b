from __future__ import annotations

import pytest
import small_modules as m
from spawned_ranks import group_of_one

from lt_callbacks.plugins.batch_agreement import BatchAgreement

WAY_OUT = (
    "Set `Trainer(limit_train_batches=N)` to the smallest number, or deal the samples out evenly, as "
    "`LongTailedDataModule` and `DistributedSampler` do."
)


def test_one_process_agrees_with_itself():
    module = m.fresh(m.ReturnsTensor)
    with group_of_one():
        trainer = m.trainer(callbacks=[BatchAgreement()])
        trainer.fit(module, m.datamodule(2))
    assert trainer.global_step == 2


@pytest.mark.ddp
@pytest.mark.parametrize(
    ("case", "told", "num_steps"),
    [
        ("callback", "batches of an epoch: 3 on rank 0, 5 on rank 1", 0),
        ("mixin", "batches of an epoch: 3 on rank 0, 5 on rank 1", 0),
        ("agreement", "batches of an epoch: 3 on rank 0, 5 on rank 1", 0),
        ("local", "batches of an epoch: 3 on rank 0, 5 on rank 1", 0),
        ("fewer_on_the_second", "batches of an epoch: 5 on rank 0, 3 on rank 1", 0),
        ("share", "batches of an epoch: 3 on rank 0, 5 on rank 1", 0),
        ("none", "batches of an epoch: 3 on rank 0, 0 on rank 1", 0),
        ("made_anew", "batches of an epoch: 3 on rank 0, 4 on rank 1", 3),
        ("stream", "batch 3 of the epoch: the last on rank 0, followed by others on rank 1", 2),
        ("stream_mixin", "batch 3 of the epoch: followed by others on rank 0, the last on rank 1", 2),
        ("stream_second_epoch", "batch 3 of the epoch: the last on rank 0, followed by others on rank 1", 5),
        ("stream_empty", "batch 1 of the epoch: not there on rank 0, followed by others on rank 1", 0),
        ("stream_says_length", "batch 4 of the epoch: not there on rank 0, followed by others on rank 1", 3),
    ],
)
def test_unequal_batches_are_refused_on_both_ranks_before_the_step_that_one_would_wait_in(
    two_ranks, case, told, num_steps
):
    first, second = (rank.found[case] for rank in two_ranks)
    assert first["error"] == second["error"]
    assert first["error"] == (
        "ArgumentValueError: `train_dataloader` must give as many batches to every rank, since ranks exchange "
        f"gradients in each step; got {told}. {WAY_OUT}"
    )
    assert (first["num_steps"], second["num_steps"]) == (num_steps, num_steps)


@pytest.mark.ddp
@pytest.mark.parametrize(
    ("case", "num_steps"), [("way_out", 6), ("equal", 6), ("stream_equal", 6), ("stream_limit", 3), ("stream_steps", 5)]
)
def test_equal_batches_are_trained_on_and_so_is_the_way_out(two_ranks, case, num_steps):
    for rank in two_ranks:
        assert rank.found[case] == {"num_steps": num_steps, "as_before": True}


@pytest.mark.ddp
def test_a_trainer_has_its_own_callbacks_afterwards_also_where_it_was_refused(two_ranks):
    for rank in two_ranks:
        assert len(rank.found) == 18
        assert all(found["as_before"] for found in rank.found.values())
