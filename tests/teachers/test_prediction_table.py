from __future__ import annotations

import pytest
import torch

from lt_callbacks.teachers.prediction_table import PredictionTable


def rows(num: int, *, seed: int = 0, classes: int = 4, scale: float = 1.0) -> torch.Tensor:
    logits = scale * torch.randn(num, classes, generator=torch.Generator().manual_seed(seed))
    return logits.log_softmax(1)


def test_rows_lie_at_their_index_and_the_others_are_missing():
    table = PredictionTable(6, averages=False, dtype=torch.float32)
    table.add(rows(2), torch.tensor([4, 0]))
    table.add(rows(1, seed=1), torch.tensor([5]))
    got = table.finish()
    assert torch.equal(got[[4, 0, 5]], torch.cat([rows(2), rows(1, seed=1)]))
    assert torch.equal(got.isnan().all(1), torch.tensor([False, True, True, True, False, False]))
    assert got.untyped_storage().nbytes() == got.nbytes


def test_views_are_averaged_as_probabilities():
    table = PredictionTable(3, averages=True, dtype=torch.float32)
    views = [rows(2, seed=seed, scale=4.0) for seed in range(3)]
    for view in views:
        table.add(view, torch.tensor([2, 0]))
    # A sample that comes once more than the others, and twice in one batch.
    table.add(views[0][:1].expand(2, -1), torch.tensor([1, 1]))
    got = table.finish()
    expected = torch.stack(views).double().exp().mean(0).log().float()
    torch.testing.assert_close(got[[2, 0]], expected)
    torch.testing.assert_close(got[1], views[0][0])
    assert (got[[2, 0]] - torch.stack(views).mean(0)).abs().max() > 0.1, "not the mean of the logarithms"


def test_what_underflows_in_every_view_stays_finite():
    table = PredictionTable(1, averages=True, dtype=torch.float32)
    table.add(torch.tensor([[0.0, -500.0]]), torch.tensor([0]))
    assert table.finish()[0].isfinite().all()
    half = PredictionTable(1, averages=False, dtype=torch.float16)
    half.add(torch.tensor([[0.0, -1e6]]), torch.tensor([0]))
    assert half.finish()[0].isfinite().all()


@pytest.mark.parametrize(("dtype", "error"), [(torch.float16, 2**-11), (torch.bfloat16, 2**-8)])
@pytest.mark.parametrize("averages", [False, True])
def test_the_error_of_half_precision_is_as_documented(dtype, error, averages):
    table = PredictionTable(50, averages=averages, dtype=dtype)
    exact = rows(50, scale=5.0)
    table.add(exact, torch.arange(50))
    got = table.finish()
    assert got.dtype == dtype
    assert table.num_bytes(4) == got.nbytes == 50 * 4 * 2
    assert ((got.float() - exact).abs() <= error * exact.abs() + 1e-6).all()


@pytest.mark.parametrize("averages", [False, True])
def test_what_is_wrong_is_said_at_the_end(averages):
    with pytest.raises(ValueError, match="`datamodule` must give batches to predict; got none"):
        PredictionTable(3, averages=averages, dtype=torch.float32).finish()

    table = PredictionTable(3, averages=averages, dtype=torch.float32)
    table.add(rows(3), torch.tensor([0, 3, -1]))
    with pytest.raises(ValueError, match=r"`datamodule` must give sample indices in 0..2, .*; got 2 outside"):
        table.finish()

    table = PredictionTable(9, averages=averages, dtype=torch.float32)
    wrong = rows(3)
    wrong[1] = torch.nan
    table.add(wrong, torch.tensor([0, 7, 2]))
    with pytest.raises(ValueError, match=r"`teacher` must give finite outputs; got others for 1 samples, .* \[7\]"):
        table.finish()
