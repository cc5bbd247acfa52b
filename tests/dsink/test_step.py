from __future__ import annotations

import pytest
import torch
from dsink_rank_workers import FIXED
from teacher_batches import predictions

from lt_callbacks.dsink import ProxyLabeler, proxy_label_loss, proxy_labels


def test_labels_are_those_of_the_function():
    student, noise, imbalance = predictions(32, 6)
    got = ProxyLabeler(student_weight=0.3, tolerance=1e-5, max_iterations=300)(student, noise, imbalance)
    expected = proxy_labels(
        student, noise, imbalance.exp().sum(0), student_weight=0.3, tolerance=1e-5, max_iterations=300
    )
    torch.testing.assert_close(got.labels, expected.plan)
    torch.testing.assert_close(got.marginal_error, expected.marginal_error, atol=1e-7, rtol=0)
    assert got.iterations == expected.iterations
    assert got.loss_scale == 1.0
    assert got.known is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_a_step_takes_the_way_of_the_function_to_the_last_bit(dtype, scale):
    student, noise, imbalance = predictions(32, 6, dtype=dtype, scale=scale)
    got = ProxyLabeler(student_weight=0.3)(student, noise, imbalance)
    # A step takes logits of teachers too: it normalises what it is given.
    marginal = imbalance.log_softmax(1).exp().sum(0)
    expected = proxy_labels(student, noise.log_softmax(1), marginal, student_weight=0.3)
    assert torch.equal(got.labels, expected.plan)
    assert torch.equal(got.marginal_error, expected.marginal_error)


def test_the_loss_of_a_step_is_the_weighted_divergence_from_its_labels():
    student, noise, imbalance = predictions(8, 5)
    student.requires_grad_()
    loss, proxy = ProxyLabeler().loss(student, noise, imbalance, alpha=3.0)
    assert torch.equal(proxy.labels, ProxyLabeler()(student, noise, imbalance).labels)
    assert torch.equal(loss, 3.0 * proxy_label_loss(student, proxy.labels))
    loss.backward()
    expected = 3.0 * (student.detach().softmax(1) - proxy.labels) / 8
    torch.testing.assert_close(student.grad, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_model_of_no_weight_has_no_say(weight):
    student, noise, imbalance = predictions(32, 6)
    other = {"student": -student, "noise": noise.flip(0)}
    first = ProxyLabeler(student_weight=weight)(student, noise, imbalance)
    second = ProxyLabeler(student_weight=weight)(
        *((other["student"], noise) if weight == 0 else (student, other["noise"])), imbalance
    )
    torch.testing.assert_close(first.labels, second.labels)


def test_minus_infinity_is_a_prediction_like_any_other():
    student, noise, imbalance = predictions(12, 4)
    noise[0, 1] = imbalance[2, 3] = student[5, 0] = -torch.inf
    got = ProxyLabeler()(student, noise.log_softmax(1), imbalance.log_softmax(1))
    assert got.num_nonfinite.tolist() == [0, 0]
    assert bool(torch.isfinite(got.labels).all())
    assert got.labels[0, 1] == got.labels[5, 0] == 0
    torch.testing.assert_close(got.labels.sum(1), torch.ones(12))


@pytest.mark.parametrize(("kind", "expected"), [("uniform", "uniform"), ("student", "student"), ("batch", "teacher")])
def test_columns_meet_the_marginal_asked_for(kind, expected):
    student, noise, imbalance = predictions(64, 5, scale=1.0)
    targets = {
        "uniform": torch.full((5,), 64 / 5),
        "student": student.softmax(1).sum(0),
        "teacher": imbalance.exp().sum(0),
    }
    labels = ProxyLabeler(class_marginal=kind, tolerance=1e-5, max_iterations=500)(student, noise, imbalance).labels
    torch.testing.assert_close(labels.sum(0), targets[expected], atol=2e-3, rtol=0)


def test_none_leaves_rows_alone_and_still_measures_the_error():
    student, noise, imbalance = predictions(16, 5)
    got = ProxyLabeler(class_marginal="none")(student, noise, imbalance)
    expected = (0.5 * (student.log_softmax(1) + noise)).softmax(1)
    torch.testing.assert_close(got.labels, expected)
    error = (expected.sum(0) - imbalance.exp().sum(0)).abs().sum() / 16
    torch.testing.assert_close(got.marginal_error, error)
    assert int(got.iterations) == 0


@pytest.mark.parametrize("kind", ["batch", "running", "uniform", "student", "none"])
@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
@pytest.mark.parametrize("model", [0, 1, 2])
def test_rows_of_a_model_that_is_not_finite_are_zero_and_out_of_the_marginal(kind, poison, model):
    inputs = list(predictions(20, 5))
    inputs[model][4, 2] = inputs[model][11, 0] = poison
    kept = torch.tensor([i for i in range(20) if i not in (4, 11)])
    got = ProxyLabeler(class_marginal=kind, **FIXED)(*inputs)
    alone = ProxyLabeler(class_marginal=kind, **FIXED)(*(part[kept] for part in inputs))
    assert bool((got.labels[[4, 11]] == 0).all())
    torch.testing.assert_close(got.labels[kept], alone.labels, atol=1e-5, rtol=0)
    torch.testing.assert_close(got.marginal_error, alone.marginal_error, atol=1e-5, rtol=0)
    # Only teachers are reported: the loss itself shows a model in training that is not finite.
    bad = [2 * int(model == teacher) for teacher in (1, 2)]
    assert got.num_nonfinite.tolist() == bad
    assert got.is_nonfinite.sum(0).tolist() == bad
    assert got.is_nonfinite[4].tolist() == [model == 1, model == 2]


def test_both_teachers_are_counted_where_both_are_not_finite():
    student, noise, imbalance = predictions(6, 3)
    noise[1] = imbalance[1] = imbalance[2] = torch.nan
    noise[3] = -torch.inf  # no class at all is no distribution either
    got = ProxyLabeler()(student, noise, imbalance)
    assert got.num_nonfinite.tolist() == [2, 2]
    assert got.num_nonfinite.dtype == torch.int64
    assert got.is_nonfinite.tolist() == [[False, False], [True, True], [False, True], [True, False], *[[False] * 2] * 2]


@pytest.mark.parametrize("kind", ["batch", "running", "uniform", "student", "none"])
@pytest.mark.parametrize("queue_batches", [0, 2])
def test_a_batch_without_a_usable_row_gives_zeros_and_no_gradient(kind, queue_batches):
    student, noise, imbalance = predictions(6, 3)
    labeler = ProxyLabeler(class_marginal=kind, queue_batches=queue_batches, **FIXED)
    for _ in range(2):
        got = labeler(student, torch.full_like(noise, torch.nan), imbalance)
        assert bool((got.labels == 0).all())
        assert float(got.marginal_error) == 0
        assert got.num_nonfinite.tolist() == [6, 0]
    logits = student.clone().requires_grad_()
    loss = proxy_label_loss(logits, got.labels)
    loss.backward()
    assert loss.item() == 0
    assert bool((logits.grad == 0).all())
    # What follows is as if those batches had not been.
    fresh = ProxyLabeler(class_marginal=kind, queue_batches=queue_batches, **FIXED)
    torch.testing.assert_close(labeler(student, noise, imbalance).labels, fresh(student, noise, imbalance).labels)


def test_an_empty_batch_is_no_trouble():
    got = ProxyLabeler(queue_batches=2, class_marginal="running")(*(part[:0] for part in predictions(4, 3)))
    assert got.labels.shape == (0, 3)
    assert float(got.marginal_error) == 0
    assert got.num_nonfinite.tolist() == [0, 0]


@pytest.mark.parametrize("num_rows", [1, 2])
def test_tiny_batches_with_absent_classes(num_rows):
    student, noise, _ = predictions(num_rows, 4)
    imbalance = torch.full((num_rows, 4), -torch.inf)
    imbalance[:, 1] = 0.0
    labels = ProxyLabeler()(student, noise, imbalance).labels
    torch.testing.assert_close(labels, torch.tensor([[0.0, 1.0, 0.0, 0.0]]).expand(num_rows, 4))


def test_logits_of_1e4_stay_finite():
    student, noise, imbalance = predictions(32, 6, scale=1e4)
    got = ProxyLabeler()(student, noise, imbalance)
    assert bool(torch.isfinite(got.labels).all())
    assert bool(torch.isfinite(proxy_label_loss(student, got.labels)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("kind", ["batch", "none"])
def test_dtypes(dtype, kind):
    inputs = predictions(32, 6, dtype=dtype)
    got = ProxyLabeler(class_marginal=kind)(*inputs)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    expected = ProxyLabeler(class_marginal=kind)(*(part.to(wide) for part in inputs))
    assert got.labels.dtype == got.marginal_error.dtype == wide
    assert torch.equal(got.labels, expected.labels)


def test_autocast_changes_nothing():
    inputs = predictions(32, 6)
    expected = ProxyLabeler()(*inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = ProxyLabeler()(*inputs)
    assert torch.equal(got.labels, expected.labels)
    assert torch.equal(got.marginal_error, expected.marginal_error)


def test_nothing_has_a_graph():
    student, noise, imbalance = (part.requires_grad_() for part in predictions(6, 3))
    for labeler in (ProxyLabeler(), ProxyLabeler(class_marginal="none"), ProxyLabeler(queue_batches=1)):
        for value in vars(labeler(student, noise, imbalance)).values():
            assert not isinstance(value, torch.Tensor) or not value.requires_grad


def test_the_inputs_are_left_as_they_are():
    inputs = predictions(6, 3)
    inputs[1][2] = torch.nan
    before = [part.clone() for part in inputs]
    ProxyLabeler(queue_batches=1)(*inputs)
    for part, expected in zip(inputs, before, strict=True):
        torch.testing.assert_close(part, expected, equal_nan=True)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"student_weight": 1.5}, ValueError, "`student_weight` must be a finite number >= 0 and <= 1; got 1.5"),
        ({"class_marginal": "batches"}, ValueError, "`class_marginal` must be one of"),
        ({"queue_batches": -1}, ValueError, "`queue_batches` must be an integer >= 0; got -1"),
        ({"queue_batches": 1.0}, TypeError, "`queue_batches` must be an integer >= 0; got 1.0"),
        ({"scope": "node"}, ValueError, "`scope` must be one of 'global', 'local'; got 'node'"),
        ({"max_iterations": 0}, ValueError, "`max_iterations` must be an integer >= 1; got 0"),
        ({"tolerance": -1e-3}, ValueError, "`tolerance` must be a finite number >= 0; got -0.001"),
    ],
)
def test_settings_out_of_range_are_refused(settings, error, text):
    with pytest.raises(error, match=text):
        ProxyLabeler(**settings)
