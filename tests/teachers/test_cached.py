from __future__ import annotations

import pytest
import torch
from torch import nn

from lt_callbacks import DSink
from lt_callbacks.teachers import CachedTeacher, ModuleTeacher

IMAGES = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def table(num_samples: int = 10, *, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    logits = torch.randn(num_samples, 3, generator=torch.Generator().manual_seed(1))
    return logits.log_softmax(1).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_cached_predictions_are_looked_up_by_index(dtype):
    predictions = table(dtype=dtype).requires_grad_()
    teacher = CachedTeacher(predictions)
    index = torch.tensor([7, 0, 3, 3, 9, 1])
    got = teacher.log_probs(IMAGES, index)
    assert torch.equal(got, predictions[index].float())
    assert got.dtype == torch.float32
    assert not got.requires_grad
    assert teacher.needs_index
    assert not ModuleTeacher(nn.Flatten()).needs_index
    assert teacher.num_classes == 3


def test_many_equal_classes_survive_the_rounding_of_bfloat16():
    uniform = torch.zeros(4, 100).log_softmax(1).bfloat16()
    assert CachedTeacher(uniform).num_classes == 100


@pytest.mark.parametrize(
    ("log_probs", "text"),
    [
        (torch.zeros(4, 3).long(), r"floating with shape \(num_samples, C\); got torch.int64 \(4, 3\)"),
        (table()[0], r"floating with shape \(num_samples, C\); got torch.float32 \(3,\)"),
        (torch.zeros(0, 3), r"floating with shape \(num_samples, C\); got torch.float32 \(0, 3\)"),
        (table().exp(), r"exp of every row sums to 1; got .* for row 0 \(10 such rows\). Pass logits.log_softmax\(1\)"),
        (torch.cat([table(4), torch.full((1, 3), torch.nan)]), r"got nan for row 4 \(1 such rows\)"),
        (torch.cat([table(4), torch.full((1, 3), -torch.inf)]), r"got 0 for row 4 \(1 such rows\)"),
    ],
)
def test_tables_that_hold_no_distributions_are_refused(log_probs, text):
    with pytest.raises(ValueError, match=f"`log_probs` must be .*{text}"):
        CachedTeacher(log_probs)


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (None, "`index` must be given for cached teacher predictions; got None. Yield"),
        (torch.arange(6.0), r"`index` must be int64 with shape \(6,\), one for each image; got torch.float32 \(6,\)"),
        (torch.ones(6, dtype=torch.bool), r"`index` must be int64 .* got torch.bool \(6,\)"),
        (torch.arange(5), r"`index` must be int64 .* got torch.int64 \(5,\)"),
    ],
)
def test_an_index_that_is_none_is_refused(index, text):
    with pytest.raises(ValueError, match=text):
        CachedTeacher(table()).log_probs(IMAGES, index)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_an_index_outside_of_the_table_gives_nan_in_its_row_alone(dtype):
    index = torch.tensor([4, 5, 0, -1, 2**31 - 1, 1], dtype=dtype)
    got = CachedTeacher(table(5)).log_probs(IMAGES, index)
    assert torch.equal(got.isnan().all(1), torch.tensor([False, True, False, True, True, False]))
    assert torch.equal(got[[0, 2, 5]], table(5)[[4, 0, 1]])


def test_missing_rows_are_let_in_where_they_are_expected_and_only_whole_ones():
    holed = table()
    holed[3] = torch.nan
    assert CachedTeacher(holed, allow_missing=True).log_probs(IMAGES, torch.arange(6))[3].isnan().all()
    holed[5, 0] = torch.nan
    with pytest.raises(ValueError, match=r"got nan for row 5 \(1 such rows\)"):
        CachedTeacher(holed, allow_missing=True)


def test_dsink_reports_samples_without_a_prediction_by_their_index_one_step_later():
    holed = table(20)
    holed[7] = torch.nan
    add = DSink(noise_teacher=CachedTeacher(holed, allow_missing=True), imbalance_teacher=CachedTeacher(table(20)))
    logits = torch.randn(6, 3, requires_grad=True)
    loss = add.loss(logits, IMAGES, index=torch.tensor([1, 7, 2, 25, 3, 4]))
    assert torch.isfinite(loss)
    with pytest.raises(RuntimeError, match=r"`noise_teacher` must give .*sample indices on this rank: \[7, 25\]"):
        add.finish()


def test_the_table_is_the_one_that_is_looked_up():
    kept = table(dtype=torch.float16)
    teacher = CachedTeacher(kept)
    assert teacher.table() is not kept.requires_grad_()
    assert torch.equal(teacher.table(), kept)
    assert not teacher.table().requires_grad


def test_arrays_and_lists_are_refused_by_name():
    with pytest.raises(TypeError, match=r"^`log_probs` must be a floating tensor; got list. Pass `torch.as_tensor"):
        CachedTeacher([[0.0, 0.0]])
    with pytest.raises(ValueError, match=r"^`index` must be int64 with shape \(2,\), one for each image; got list"):
        CachedTeacher(table()).log_probs(torch.zeros(2, 1), [0, 1])
