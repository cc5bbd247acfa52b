from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from lt_callbacks.objectives import (
    OBJECTIVES,
    BalancedSoftmax,
    CrossEntropy,
    EarlyLearningRegularization,
    LogitAdjustment,
    Objective,
)

NAMES = sorted(OBJECTIVES)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_logits_are_computed_in_float32(prepared, batch, name):
    logits, given_label, index = batch
    rounded = logits.detach().to(torch.bfloat16)

    loss = prepared(name)(rounded, given_label, index)
    expected = prepared(name)(rounded.double(), given_label, index)

    assert loss.dtype == torch.float32
    assert expected.dtype == torch.float64
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(prepared, batch, name):
    logits, given_label, index = batch
    logits = logits.detach().float()
    expected = prepared(name)(logits, given_label, index)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = prepared(name)(logits, given_label, index)
    assert torch.equal(loss, expected)


def test_a_formula_with_a_matrix_product_is_not_lowered_by_autocast(batch):
    class Product(Objective):
        def losses(self, logits, given_label, index):
            return (logits @ logits.T).mean(dim=1)

    logits = batch[0].detach().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = Product()(logits, batch[1])
    assert loss.dtype == torch.float32
    assert torch.equal(loss, Product()(logits, batch[1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_give_finite_loss_and_gradient(prepared, name, dtype):
    values = torch.full((4, 4), -1e4)
    values.fill_diagonal_(1e4)
    logits = values.to(dtype).requires_grad_()
    objective = prepared(name)
    for epoch in (0, 9):
        objective.set_epoch(epoch)
        for given_label in (torch.arange(4), torch.tensor([1, 2, 3, 0])):
            for _ in range(3):
                loss = objective(logits, given_label, torch.arange(4))
            (gradient,) = torch.autograd.grad(loss, logits)
            assert torch.isfinite(loss)
            assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_class_that_is_never_given_counts_as_given_once(prepared, batch, name):
    loss = prepared(name, class_counts=(50, 0, 7, 0))(*batch)
    assert torch.isfinite(loss)
    torch.testing.assert_close(loss, prepared(name, class_counts=(50, 1, 7, 1))(*batch))


@pytest.mark.parametrize("name", NAMES)
def test_eval_mode_is_plain_cross_entropy_and_needs_nothing_else(prepared, batch, name):
    logits, given_label, _ = batch
    expected = F.cross_entropy(logits, given_label)
    objective = prepared(name).eval()
    state = copy.deepcopy(objective.state_dict())

    torch.testing.assert_close(objective(logits, given_label), expected)
    torch.testing.assert_close(OBJECTIVES[name]().eval()(logits, given_label), expected)
    assert all(torch.equal(value, state[key]) for key, value in objective.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_one_sample_is_a_batch(prepared, batch, name):
    logits, given_label, index = batch
    assert torch.isfinite(prepared(name)(logits[:1], given_label[:1], index[:1]))


@pytest.mark.parametrize("name", NAMES)
def test_random_state_is_left_alone(prepared, batch, name):
    before = torch.get_rng_state()
    prepared(name)(*batch).backward()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_narrow_integers_are_labels_too(prepared, batch, name):
    logits, given_label, index = batch
    expected = prepared(name)(logits, given_label, index)
    torch.testing.assert_close(prepared(name)(logits, given_label.to(torch.uint8), index.to(torch.int32)), expected)


@pytest.mark.parametrize("name", ["logit_adjustment", "balanced_softmax", "ldam_drw", "elr"])
def test_buffers_stay_in_float32(prepared, batch, name):
    objective = prepared(name)
    expected = {key: value.clone() for key, value in objective.state_dict().items()}
    torch.nn.Sequential(objective).to(torch.bfloat16)
    assert expected
    for key, value in objective.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[key])
    assert objective.double().state_dict().popitem()[1].dtype == torch.float64


@pytest.mark.parametrize("name", ["logit_adjustment", "balanced_softmax", "ldam_drw", "elr"])
def test_buffers_are_float32_whatever_the_default(prepared, name):
    torch.set_default_dtype(torch.bfloat16)
    try:
        objective = prepared(name)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {value.dtype for value in objective.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_loads_with_and_without_prepare(prepared, batch, name):
    source = prepared(name)
    source(*batch)
    state = source.state_dict()

    for target in (prepared(name), OBJECTIVES[name]()):
        model = torch.nn.ModuleDict({"objective": target})
        model.load_state_dict({f"objective.{key}": value for key, value in state.items()})
        loaded = target.state_dict()
        assert loaded.keys() == state.keys()
        assert all(torch.equal(loaded[key], state[key]) for key in state)
        assert all(loaded[key].data_ptr() != state[key].data_ptr() for key in state)


def test_prepare_starts_afresh(prepared, batch):
    objective = prepared("elr")
    objective.set_epoch(5)
    objective(*batch)
    objective.prepare(class_counts=torch.tensor([3, 3, 3, 3]), num_samples=20, max_epochs=4)
    assert objective.epoch == 0
    assert not objective.memory.any()


def test_prepare_follows_a_module_that_was_moved():
    objective = LogitAdjustment().to("meta")
    objective.prepare(class_counts=torch.tensor([2, 1]), num_samples=3, max_epochs=1)
    assert objective.log_prior.device.type == "meta"


@pytest.mark.parametrize("name", ["logit_adjustment", "balanced_softmax", "ldam_drw", "elr"])
def test_unprepared_training_is_refused(batch, name):
    with pytest.raises(RuntimeError, match=r"was not told. Call `prepare\(class_counts=..., num_samples=..., max_ep"):
        OBJECTIVES[name]()(*batch)


@pytest.mark.parametrize("name", ["cross_entropy", "gce", "sce"])
def test_objectives_without_the_training_set_need_no_prepare(batch, name):
    assert not OBJECTIVES[name]().needs_prepare
    assert torch.isfinite(OBJECTIVES[name]()(*batch))


@pytest.mark.parametrize(
    ("counts", "error", "message"),
    [
        ([3, 4], TypeError, r"`class_counts` must be a real tensor of shape \(C,\); got list. Pass `torch.as_tensor"),
        (torch.tensor([1j, 2]), TypeError, r"must be a real tensor .* got torch.complex64"),
        (torch.ones(2, 2), ValueError, r"`class_counts` must have shape \(C,\) with C >= 2; got \(2, 2\). Pass"),
        (torch.tensor([4]), ValueError, r"with C >= 2; got \(1,\)"),
        (torch.tensor([4, 2, -1]), ValueError, r"must be finite and >= 0; got -1.0 for class 2. Pass `torch.bincount"),
        (torch.tensor([4, float("nan")]), ValueError, "must be finite and >= 0; got nan for class 1"),
        (torch.zeros(3), ValueError, "must have a class above 0; got zeros only. Is the training set empty?"),
    ],
)
def test_wrong_class_counts_are_refused(counts, error, message):
    with pytest.raises(error, match=message):
        BalancedSoftmax().prepare(class_counts=counts, num_samples=5, max_epochs=1)


def test_wrong_lengths_are_refused():
    counts = torch.tensor([3, 2])
    with pytest.raises(ValueError, match="`num_samples` must be an integer >= 1; got 0"):
        CrossEntropy().prepare(class_counts=counts, num_samples=0, max_epochs=1)
    with pytest.raises(ValueError, match="`max_epochs` must be an integer >= 1; got -1. Give the trainer a limit"):
        CrossEntropy().prepare(class_counts=counts, num_samples=5, max_epochs=-1)
    with pytest.raises(ValueError, match="`epoch` must be an integer >= 0; got -1"):
        CrossEntropy().set_epoch(-1)


@pytest.mark.parametrize(
    ("logits", "given_label", "error", "message"),
    [
        (torch.zeros(3, 2, dtype=torch.long), torch.zeros(3).long(), TypeError, r"`logits` must be a floating tensor"),
        ((torch.zeros(3, 2),), torch.zeros(3).long(), TypeError, r"`logits` .* got tuple. Pass the model's raw output"),
        (torch.zeros(3, 2, 4), torch.zeros(3).long(), ValueError, r"`logits` .* \(B, C\); got \(3, 2, 4\). Flatten"),
        (
            torch.zeros(3, 2),
            torch.zeros(3),
            TypeError,
            r"`given_label` .* got torch.float32. Pass class numbers, not so",
        ),
        (torch.zeros(3, 2), torch.zeros(3) > 0, TypeError, r"`given_label` .* got torch.bool"),
        (torch.zeros(3, 2), [0, 1, 1], TypeError, r"`given_label` must be a tensor of integers; got list"),
        (
            torch.zeros(3, 2),
            torch.zeros(3, 2).long(),
            ValueError,
            r"shape \(3,\), .* got \(3, 2\). Pass class numbers,",
        ),
        (torch.zeros(3, 2), torch.zeros(4).long(), ValueError, r"`given_label` must have shape \(3,\), .* got \(4,\)"),
    ],
)
def test_wrong_batches_are_refused(logits, given_label, error, message):
    with pytest.raises(error, match=message):
        CrossEntropy()(logits, given_label)


def test_another_number_of_classes_is_refused(prepared):
    with pytest.raises(
        ValueError, match=r"`logits` must have 4 columns, .* got shape \(2, 5\). Build .* num_classes=4"
    ):
        prepared("logit_adjustment")(torch.zeros(2, 5), torch.tensor([0, 1]))


def test_a_model_of_the_right_size_is_not_blamed_for_labels_that_count_from_one(prepared, batch):
    logits, given_label, _ = batch
    objective = prepared("cross_entropy", class_counts=(0, 50, 20, 7, 1))
    with pytest.raises(
        ValueError, match=r"`logits` must have 5 columns, .* Class 0 has no sample, .*: subtract 1 from"
    ):
        objective(logits, given_label)
    with pytest.raises(ValueError, match=r"Build the model with num_classes=5"):
        objective(logits[:, :3], given_label)
    objective = prepared("cross_entropy", class_counts=(0, 50, 0, 7, 1))
    with pytest.raises(ValueError, match=r"Build the model with num_classes=5"):
        objective(logits, given_label)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (
            None,
            ValueError,
            r"`index` must be given to \w+, which remembers every sample; got None. Batches must be \(image, label, index\)",
        ),
        (torch.zeros(6), TypeError, "`index` must be a tensor of integers; got torch.float32. Pass the samples' pos"),
        ([0] * 6, TypeError, "`index` must be a tensor of integers; got list"),
        (torch.zeros(5).long(), ValueError, r"`index` must have shape \(6,\), .* got \(5,\). Pass the third item"),
    ],
)
def test_a_wrong_index_is_refused(prepared, batch, index, error, message):
    logits, given_label, _ = batch
    with pytest.raises(error, match=message):
        prepared("elr")(logits, given_label, index)
    with pytest.raises(ValueError, match=r"`index` must be given; got None. Batches must be \(image, label, index\)"):
        prepared("elr").losses(logits, given_label, None)


def test_a_subclass_must_have_a_formula(batch):
    with pytest.raises(TypeError, match="abstract"):
        Objective()(*batch)


def test_what_an_objective_needs_is_declared():
    assert [name for name in NAMES if OBJECTIVES[name].needs_index] == ["elr"]
    assert [name for name in NAMES if OBJECTIVES[name].head == "cosine"] == ["ldam_drw"]
    assert EarlyLearningRegularization.needs_index is True
