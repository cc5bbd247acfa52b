"""What a step that raised, and was caught, leaves behind: nothing. For the mixin and for the callback."""

from __future__ import annotations

import pytest
import small_modules as m
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lt_callbacks import DSink, DSinkCallback, DSinkMixin, ProxyLabelMonitor

FORMS = ("mixin", "callback")


class Fails(m.ReturnsTensor):
    """Its step raises after the network has been called, while it is told to."""

    is_failing = False

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        if self.is_failing:
            raise KeyError("on purpose")
        return loss


class FailsAfterAdding(m.ReturnsTensor):
    """As above, in a step that has named its tensors itself; all others leave it to the mixin."""

    is_failing = False

    def training_step(self, batch, batch_idx):
        logits = self(batch[0])
        loss = F.cross_entropy(logits, batch[1])
        if self.is_failing:
            self.add_dsink(loss, logits, batch[0])
            raise KeyError("on purpose")
        return loss


class Provokes(Callback):
    """Before each batch, has a step on other images fail, catches it, and calls the network once more."""

    def __init__(self):
        self.num_seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        other = (torch.full((5, 6), 3.0), torch.zeros(5, dtype=torch.int64))
        pl_module.is_failing = True
        with pytest.raises(KeyError, match="on purpose"):
            pl_module.training_step(other, batch_idx)
        pl_module.is_failing = False
        pl_module(other[0])
        capture = pl_module._dsink_capture
        self.num_seen.append(len(capture._calls) + len(capture._inputs))
        self.last_step = capture.dsink.last_step


def build(form, kind=Fails, *, dsink=None, logits_from=None, **settings):
    """A module with D-SINK, and the callbacks that it needs."""
    if dsink is None:
        noise, imbalance = m.teachers()
        dsink = DSink(noise_teacher=noise, imbalance_teacher=imbalance, logits_from=logits_from, **settings)
    if form == "callback":
        return m.fresh(kind), [DSinkCallback(dsink)]
    module = m.fresh(type("Robust", (DSinkMixin, kind), {}))
    module.attach_dsink(dsink)
    return module, []


@pytest.mark.parametrize("logits_from", [None, "head"])
@pytest.mark.parametrize("form", FORMS)
def test_the_next_step_has_its_own_logits_and_is_not_refused(form, logits_from):
    straight, callbacks = build(form, logits_from=logits_from)
    m.trainer(callbacks=callbacks).fit(straight, m.datamodule(4))

    module, callbacks = build(form, logits_from=logits_from)
    provokes = Provokes()
    m.trainer(callbacks=[*callbacks, provokes]).fit(module, m.datamodule(4))
    assert provokes.num_seen == [0, 0, 0, 0]
    assert m.largest_difference(module.state_dict(), straight.state_dict()) == 0


def test_a_step_that_failed_after_adding_does_not_speak_for_the_next_one():
    straight, _ = build("mixin", FailsAfterAdding)
    m.trainer().fit(straight, m.datamodule(4))
    module, _ = build("mixin", FailsAfterAdding)
    provokes = Provokes()
    m.trainer(callbacks=[provokes]).fit(module, m.datamodule(4))
    assert provokes.last_step is not None
    assert m.largest_difference(module.state_dict(), straight.state_dict()) == 0
    without, _ = build("mixin", FailsAfterAdding)
    without.detach_dsink()
    m.trainer().fit(without, m.datamodule(4))
    assert m.largest_difference(module.state_dict(), without.state_dict()) > 1e-3


class Caught(DSinkMixin, Fails):
    pass


class LeavesOut(Caught):
    """Leaves out the second batch, as one does that does not fit into memory."""

    def training_step(self, batch, batch_idx):
        self.is_failing = batch_idx == 1
        try:
            return super().training_step(batch, batch_idx)
        except KeyError:
            return None


@pytest.mark.parametrize("form", FORMS)
def test_the_monitor_does_not_count_an_earlier_steps_labels_for_a_step_that_was_left_out(form):
    """The labels of the step before were counted again, beside the given labels of the batch that was left out."""

    class Skips(m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            return None if batch_idx else super().training_step(batch, batch_idx)

    def logged(**settings):
        module, callbacks = build(form, Skips)
        trainer = m.trainer(callbacks=[*callbacks, ProxyLabelMonitor(uniform_above=1.0)], **settings)
        trainer.fit(module, m.datamodule(3))
        return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("dsink/")}

    found = logged()
    assert found == logged(limit_train_batches=1)
    assert 0 < found["dsink/agreement"] < 1


def test_a_step_that_catches_its_own_error_is_left_out_and_the_others_are_as_ever():
    noise, imbalance = m.teachers()
    module = m.fresh(LeavesOut)
    module.attach_dsink(DSink(noise_teacher=noise, imbalance_teacher=imbalance))
    m.trainer().fit(module, m.datamodule(3))

    x, y = m.data(3).tensors
    kept = torch.cat([torch.arange(m.BATCH), torch.arange(2 * m.BATCH, 3 * m.BATCH)])
    straight, _ = build("mixin")
    m.trainer().fit(straight, DataLoader(TensorDataset(x[kept], y[kept]), batch_size=m.BATCH))
    assert m.largest_difference(module.state_dict(), straight.state_dict()) == 0


class NaNForLargeImages(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(6, m.NUM_CLASSES)

    def forward(self, x):
        return torch.where(x[:, :1] > 50, torch.nan, self.layer(x))


class StopsAfter(Callback):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        raise KeyError("on purpose")


@pytest.mark.parametrize("form", FORMS)
def test_a_fit_that_failed_does_not_make_the_next_one_refuse(form):
    """A teacher was not finite in the last step of a fit that failed for another reason: the next fit was refused."""
    _, imbalance = m.teachers()
    dsink = DSink(noise_teacher=NaNForLargeImages(), imbalance_teacher=imbalance)
    module, callbacks = build(form, dsink=dsink)
    x, y = (part.clone() for part in m.data(2).tensors)
    x[3] = 100.0
    with pytest.raises(KeyError, match="on purpose"):
        m.trainer(callbacks=[*callbacks, StopsAfter()]).fit(module, DataLoader(TensorDataset(x, y), batch_size=m.BATCH))
    m.trainer(callbacks=callbacks).fit(module, m.datamodule(2))
    # The report itself is as it was.
    with pytest.raises(RuntimeError, match="`noise_teacher` must give finite outputs; 1 samples"):
        m.trainer(callbacks=callbacks).fit(module, DataLoader(TensorDataset(x, y), batch_size=m.BATCH))


def test_a_training_whose_every_add_fails_and_is_caught_is_refused_at_the_end_of_the_epoch():
    class Adds(m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            logits = self(batch[0])
            loss = F.cross_entropy(logits, batch[1])
            try:
                # Of other classes than the teachers'.
                return self.add_dsink(loss, logits[:, :3], batch[0])
            except ValueError:
                return loss

    module, _ = build("mixin", Adds)
    with pytest.raises(RuntimeError, match="in epoch 0 it did not run in any of 3 steps: .*caught the error of"):
        m.trainer().fit(module, m.datamodule(3))
