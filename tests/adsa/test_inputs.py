import numpy as np
import pytest
import torch

from lt_callbacks.adsa.inputs import check_values, checked_batch


def test_one_view_is_a_stack_of_one():
    views, intended, weight = checked_batch(torch.zeros(4, 3), torch.tensor([0, 1, 2, 2]), None, num_classes=3)
    assert views.shape == (1, 4, 3)
    assert intended.dtype == torch.int64
    assert weight is None
    assert checked_batch(torch.zeros(2, 4, 3), torch.zeros(4).long(), None, num_classes=3)[0].shape == (2, 4, 3)


def test_lists_and_arrays_are_tensors_too():
    views, intended, weight = checked_batch([[0.0, 1.0]], np.array([1], dtype=np.uint8), [2], num_classes=2)
    assert views.tolist() == [[[0.0, 1.0]]]
    assert (intended.tolist(), intended.dtype, weight.tolist()) == ([1], torch.int64, [2])
    assert checked_batch(torch.zeros(0, 2), [], None, num_classes=2)[1].shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"logits": torch.zeros(4, 3).long()}, TypeError, "`logits` must be floating; got torch.int64"),
        ({"logits": "many"}, TypeError, "`logits` must be a tensor; got str"),
        ({"logits": torch.zeros(4, 5)}, ValueError, r"`logits` must have shape \(B, 3\) or \(V, B, 3\).*got \(4, 5\)"),
        ({"logits": torch.zeros(3)}, ValueError, r"`logits` must have shape .*got \(3,\)"),
        ({"logits": torch.zeros(0, 4, 3)}, ValueError, r"`logits` must have shape .*got \(0, 4, 3\)"),
        ({"intended": torch.zeros(4)}, TypeError, "`intended_class` must be integers; got torch.float32. Pass class n"),
        ({"intended": torch.zeros(4).bool()}, TypeError, "`intended_class` must be integers; got torch.bool"),
        ({"intended": torch.zeros(5).long()}, ValueError, r"`intended_class` must have shape \(4,\).*got \(5,\)"),
        ({"intended": torch.zeros(4, 3).long()}, ValueError, r"`intended_class` must have shape \(4,\).*\(4, 3\)"),
        (
            {"weight": torch.ones(4, 1)},
            ValueError,
            r"`weight` must have shape \(4,\), one entry an image; got \(4, 1\)",
        ),
        ({"weight": torch.ones(4) * 1j}, TypeError, "`weight` must be real; got torch.complex64"),
    ],
)
def test_wrong_kinds_and_shapes_are_refused(arguments, error, text):
    given = {"logits": torch.zeros(4, 3), "intended": torch.zeros(4).long(), "weight": None, **arguments}
    with pytest.raises(error, match=text):
        checked_batch(given["logits"], given["intended"], given["weight"], num_classes=3)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_the_first_image_without_finite_logits_is_named(value):
    views = torch.zeros(2, 5, 3)
    views[1, 3, 2] = value
    with pytest.raises(ValueError, match="`logits` must be finite; got NaN or an infinity for image 3"):
        check_values(views, torch.zeros(5).long(), None)


@pytest.mark.parametrize("value", [-1, 3])
def test_the_first_image_without_a_class_is_named(value):
    with pytest.raises(ValueError, match=rf"`intended_class` must lie in 0..2; got {value} for image 2"):
        check_values(torch.zeros(1, 4, 3), torch.tensor([0, 2, value, 9]), None)


@pytest.mark.parametrize("value", [-0.5, float("nan"), float("inf"), 1e300, 1e-200])
def test_the_first_bad_weight_is_named(value):
    with pytest.raises(ValueError, match=r"`weight` must be 0 or lie in .*; got .* for image 1"):
        check_values(torch.zeros(1, 3, 3), torch.zeros(3).long(), torch.tensor([0.0, value, 1.0], dtype=torch.float64))
