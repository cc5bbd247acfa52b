"""Zero edits: mixin and callback train any module as a hand-written loop would."""

import pytest
import small_modules as m
import torch
from torch import nn

from lt_callbacks import DSink, DSinkCallback, DSinkMixin
from lt_callbacks.teachers import CachedTeacher

ALPHA = 3.0
EXACT = {"alpha": ALPHA, "tolerance": 1e-7, "max_iterations": 5000}


def dsink(**settings):
    noise, imbalance = m.teachers()
    return DSink(noise_teacher=noise, imbalance_teacher=imbalance, **{**EXACT, **settings})


def mixed(kind):
    return type("Robust" + kind.__name__, (DSinkMixin, kind), {})


def fit(kind, form, *, compiled=False, num_steps=m.NUM_STEPS, settings=None, callbacks=(), **trainer):
    """Weights after a fit with D-SINK in one of the two forms."""
    add = dsink(**(settings or {}))
    module = m.fresh(mixed(kind) if form == "mixin" else kind)
    callbacks = list(callbacks)
    if form == "mixin":
        module.attach_dsink(add)
    else:
        callbacks.append(DSinkCallback(add))
    target = torch.compile(module, backend="eager") if compiled else module
    m.trainer(callbacks=callbacks, **trainer).fit(target, m.datamodule(num_steps))
    return module


@pytest.mark.parametrize("form", ["mixin", "callback"])
@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("kind", [m.ReturnsTensor, m.ReturnsMapping, m.CallsForward, m.UsesSubmodules])
def test_twenty_steps_equal_the_hand_written_loop(kind, form, compiled):
    settings = {"logits_from": "head"} if kind is m.UsesSubmodules else {}
    module = fit(kind, form, compiled=compiled, settings=settings)
    start = m.fresh(m.ReturnsTensor)
    assert m.largest_difference(module.state_dict(), m.hand_written(start, alpha=ALPHA)) <= 1e-5
    assert m.largest_difference(module.state_dict(), m.hand_written(start, alpha=0.0)) > 1e-2


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_accumulated_gradients_equal_the_hand_written_loop(form):
    module = fit(m.ReturnsTensor, form, accumulate_grad_batches=4)
    expected = m.hand_written(m.fresh(m.ReturnsTensor), alpha=ALPHA, accumulate=4)
    assert m.largest_difference(module.state_dict(), expected) <= 1e-5


@pytest.mark.parametrize("form", ["mixin", "callback"])
def test_bf16_mixed_is_close_to_the_hand_written_loop(form):
    module = fit(m.ReturnsTensor, form, num_steps=10, precision="bf16-mixed")
    expected = m.hand_written(m.fresh(m.ReturnsTensor), alpha=ALPHA, num_steps=10)
    assert m.largest_difference(module.state_dict(), expected) <= 1e-2


def test_alpha_zero_is_the_plain_module():
    with_dsink = fit(m.ReturnsTensor, "mixin", settings={"alpha": 0.0}).state_dict()
    plain = m.fresh(m.ReturnsTensor)
    m.trainer().fit(plain, m.datamodule())
    assert m.largest_difference(with_dsink, plain.state_dict()) == 0


def test_alpha_warms_up_by_epoch():
    add = dsink(alpha=4.0, warmup_epochs=4)
    assert [add.alpha_at(epoch) for epoch in (0, 1, 3, 4, 9)] == [0.0, 1.0, 3.0, 4.0, 4.0]
    x = torch.randn(8, 6)
    logits = torch.randn(8, m.NUM_CLASSES)
    assert float(add.loss(logits, x, epoch=1)) == pytest.approx(float(add.loss(logits, x, epoch=4)) / 4, rel=1e-6)


def test_the_teachers_follow_the_modules_dtype():
    add = dsink()
    loss = add.loss(torch.randn(8, m.NUM_CLASSES), torch.randn(8, 6).double(), dtype=torch.float64)
    assert torch.isfinite(loss)
    assert next(add.noise_teacher.module.parameters()).dtype == torch.float64


def test_cached_teachers_are_looked_up_by_the_batch_index():
    x, _, index = m.data(2, with_index=True).tensors
    noise, imbalance = (teacher.eval() for teacher in m.teachers())
    tables = [CachedTeacher(teacher(x).log_softmax(1).detach()) for teacher in (noise, imbalance)]
    cached = DSink(noise_teacher=tables[0], imbalance_teacher=tables[1], **EXACT)
    logits = torch.randn(8, m.NUM_CLASSES)
    chosen = torch.tensor([31, 0, 5, 7, 22, 9, 1, 2])
    live = dsink().loss(logits, x[chosen])
    # Normalised once more, the same predictions are rounded anew.
    assert float(cached.loss(logits, x[chosen], index=index[chosen])) == pytest.approx(float(live), rel=1e-5)

    module = m.fresh(mixed(m.ReturnsTensor))
    module.attach_dsink(cached)
    m.trainer().fit(module, m.datamodule(2, with_index=True))
    expected = m.hand_written(m.fresh(m.ReturnsTensor), alpha=ALPHA, num_steps=2)
    assert m.largest_difference(module.state_dict(), expected) <= 1e-5


def test_cached_teachers_without_an_index_in_the_batch():
    table = CachedTeacher(torch.zeros(4, m.NUM_CLASSES).log_softmax(1))
    module = m.fresh(mixed(m.ReturnsTensor))
    module.attach_dsink(DSink(noise_teacher=table, imbalance_teacher=table))
    with pytest.raises(RuntimeError, match="`index_from` must name the samples' index .* got None, and .*add_index"):
        m.trainer().fit(module, m.datamodule(1))


class Broken(nn.Module):
    """Not finite for one sample of a batch."""

    def __init__(self, bad=torch.nan):
        super().__init__()
        self.bad = bad

    def forward(self, x):
        logits = torch.zeros(len(x), m.NUM_CLASSES)
        logits[3] = self.bad
        return logits


def test_a_teacher_that_is_not_finite_is_named_one_step_later_with_its_samples():
    add = DSink(noise_teacher=Broken(), imbalance_teacher=m.teachers()[1])
    logits = torch.randn(8, m.NUM_CLASSES)
    assert torch.isfinite(add.loss(logits, torch.randn(8, 6), index=torch.arange(100, 108)))
    with pytest.raises(RuntimeError, match=r"`noise_teacher` must give finite outputs; 1 samples.*\[103\]"):
        add.loss(logits, torch.randn(8, 6))


def test_a_non_finite_last_step_is_still_reported():
    module = m.fresh(mixed(m.ReturnsTensor))
    module.attach_dsink(DSink(noise_teacher=m.teachers()[0], imbalance_teacher=Broken(torch.inf)))
    with pytest.raises(RuntimeError, match="`imbalance_teacher` must give finite outputs"):
        m.trainer().fit(module, m.datamodule(1))


def test_a_non_finite_teacher_can_be_warned_of_once_or_ignored():
    logits, x = torch.randn(8, m.NUM_CLASSES), torch.randn(8, 6)
    add = DSink(noise_teacher=Broken(), imbalance_teacher=m.teachers()[1], on_nonfinite="warn")
    add.loss(logits, x)
    with pytest.warns(UserWarning, match="`noise_teacher` must give finite outputs"):
        add.loss(logits, x)
    quiet = DSink(noise_teacher=Broken(), imbalance_teacher=m.teachers()[1], on_nonfinite="ignore")
    for _ in range(3):
        assert torch.isfinite(quiet.loss(logits, x))


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"alpha": -1}, ValueError, "`alpha` must be a finite number >= 0; got -1"),
        ({"warmup_epochs": 1.5}, TypeError, "`warmup_epochs` must be an integer >= 0; got 1.5"),
        ({"student_weight": 1.5}, ValueError, "`student_weight` must be a finite number >= 0 and <= 1; got 1.5"),
        ({"class_marginal": "bach"}, ValueError, "`class_marginal` must be one of .*got 'bach'. Did you mean 'batch'"),
        ({"queue_batches": -1}, ValueError, "`queue_batches` must be an integer >= 0; got -1"),
        ({"scope": "world"}, ValueError, "`scope` must be one of 'global', 'local'; got 'world'"),
        ({"on_nonfinite": "log"}, ValueError, "`on_nonfinite` must be one of"),
        ({"images_from": 0}, ValueError, "`images_from` must be None unless `logits_from`"),
        (
            {"noise_teacher": torch.zeros(4, 4)},
            TypeError,
            "`noise_teacher` must be a module.*got Tensor.*CachedTeacher",
        ),
    ],
)
def test_bad_settings(settings, error, text):
    noise, imbalance = m.teachers()
    with pytest.raises(error, match=text):
        DSink(**{"noise_teacher": noise, "imbalance_teacher": imbalance, **settings})


def test_teachers_with_different_numbers_of_classes():
    three, four = (CachedTeacher(torch.zeros(4, c).log_softmax(1)) for c in (3, 4))
    with pytest.raises(ValueError, match="`imbalance_teacher` must have the classes of `noise_teacher`, 3; got 4"):
        DSink(noise_teacher=three, imbalance_teacher=four)
    other = DSink(noise_teacher=nn.Linear(6, 3), imbalance_teacher=m.teachers()[1])
    with pytest.raises(
        ValueError, match=r"`noise_teacher` must have the model's classes: expected .*\(8, 4\); got \(8, 3\)"
    ):
        other.loss(torch.randn(8, 4), torch.randn(8, 6))


@pytest.mark.parametrize("shape", [(8, 1), (8,), (2, 4, 3)])
def test_logits_that_are_not_of_two_or_more_classes(shape):
    with pytest.raises(ValueError, match=r"`logits` must have shape \(B, C\) .* C >= 2 classes; got \(.*two outputs"):
        dsink().loss(torch.randn(shape), torch.randn(8, 6))
