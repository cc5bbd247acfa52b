import pytest
import torch

from lt_callbacks.distilled_set.sample_index import checked_samples


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_positions_become_int64(dtype):
    found = checked_samples(torch.tensor([3, 0, 3], dtype=dtype), num_images=4, device="cpu")
    assert found.dtype == torch.int64
    assert found.tolist() == [3, 0, 3]


def test_no_sample_at_all_is_a_batch():
    assert checked_samples(torch.zeros(0, dtype=torch.int64), num_images=4, device="cpu").tolist() == []


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        ([0, 1], TypeError, "`samples` must be an int64 tensor .*; got list"),
        (torch.tensor([0.0]), TypeError, "got torch.float32"),
        (torch.tensor([True]), TypeError, "got torch.bool"),
        (torch.tensor(1), ValueError, r"`samples` must have shape \(B,\); got \(\)"),
        (torch.tensor([[1]]), ValueError, r"got \(1, 1\)"),
        (torch.tensor([0, 4]), ValueError, r"`samples` must be positions in 0\.\.3; got 4"),
        # torch would take it for the last one
        (torch.tensor([0, -1]), ValueError, r"`samples` must be positions in 0\.\.3; got -1"),
    ],
)
def test_what_is_no_position_is_refused(samples, error, message):
    with pytest.raises(error, match=message):
        checked_samples(samples, num_images=4, device="cpu")
