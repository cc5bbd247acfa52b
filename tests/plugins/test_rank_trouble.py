"""Two ranks of a user's own script: what they refuse together, and how one ends where the other fails."""

from __future__ import annotations

import re

import pytest
from rank_trouble import start_two_ranks

WAY_OUT = (
    "Set `Trainer(limit_train_batches=N)` to the smallest number, or deal the samples out evenly, as "
    "`LongTailedDataModule` and `DistributedSampler` do."
)


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory):
    """Two ranks that went through all that is to be refused, one case after the other, until a teacher failed on one."""
    return start_two_ranks(tmp_path_factory.mktemp("ranks"), "everything", "teacher", "1")


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


@pytest.mark.ddp
def test_a_teacher_that_fails_on_one_rank_ends_the_other_with_its_message(two_ranks):
    """Both processes end by the error that their fit raised, which nobody catches."""
    check(two_ranks, 1, "OSError: the teacher's disk is gone")


def check(ranks, failed, why):
    assert [rank.code for rank in ranks] == [1, 1]
    assert re.search(rf"^(\[rank{failed}\]: )?{re.escape(why)}", ranks[failed].said, re.MULTILINE)
    told = f"Rank {failed} of this training failed, and the others end with it: {why}"
    assert told in ranks[1 - failed].said
    assert told not in ranks[failed].said


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "rank", "why"),
    [
        ("teacher", 0, "OSError: the teacher's disk is gone"),
        ("step", 1, "ArithmeticError: the step went wrong"),
        ("step", 0, "ArithmeticError: the step went wrong"),
        ("loader", 1, "EOFError: the file ends here"),
        ("optimiser", 0, "LookupError: the optimiser lost its place"),
    ],
)
def test_so_does_whatever_fails_on_whichever_rank(tmp_path, what, rank, why):
    check(start_two_ranks(tmp_path, "failure", what, str(rank)), rank, why)
