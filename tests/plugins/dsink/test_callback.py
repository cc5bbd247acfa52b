import copy

import pytest
import small_modules as m
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging

from lt_callbacks import DSink, DSinkCallback, DSinkMixin


def callback(**settings):
    noise, imbalance = m.teachers()
    return DSinkCallback(DSink(noise_teacher=noise, imbalance_teacher=imbalance, **settings))


class StopsAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == self.step:
            raise KeyError("stopped on purpose")


@pytest.mark.parametrize("logits_from", [None, "head"])
@pytest.mark.parametrize("compiled", [False, True])
def test_the_instance_is_as_before_after_the_fit_and_after_an_exception(compiled, logits_from):
    for callbacks in ([], [StopsAt(1)]):
        module = m.fresh(m.ReturnsTensor)
        target = torch.compile(module, backend="eager") if compiled else module
        hooks = len(module.head._forward_hooks)
        trainer = m.trainer(callbacks=[callback(logits_from=logits_from), *callbacks])
        if callbacks:
            with pytest.raises(KeyError, match="stopped on purpose"):
                trainer.fit(target, m.datamodule(3))
        else:
            trainer.fit(target, m.datamodule(3))
        # What a fit without the callback leaves on an instance is Lightning's own.
        plain = m.fresh(m.ReturnsTensor)
        m.trainer().fit(torch.compile(plain, backend="eager") if compiled else plain, m.datamodule(3))
        assert set(vars(module)) == set(vars(plain))
        assert not any(type(value).__module__.startswith("lt_callbacks") for value in vars(module).values())
        assert len(module.head._forward_hooks) == hooks
        assert type(module) is m.ReturnsTensor


def test_a_wrapped_method_that_was_on_the_instance_comes_back():
    module = m.fresh(m.ReturnsTensor)
    module.forward = original = lambda x: m.ReturnsTensor.forward(module, x) * 2
    m.trainer(callbacks=[callback()]).fit(module, m.datamodule(2))
    assert vars(module)["forward"] is original


def test_a_copy_taken_during_the_fit_runs_its_own_weights():
    copies = []

    class Copies(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 1:
                copies.append((copy.deepcopy(pl_module), copy.deepcopy(pl_module.state_dict())))

    module = m.fresh(m.ReturnsTensor)
    m.trainer(callbacks=[callback(), Copies()]).fit(module, m.datamodule(4))
    twin, weights = copies[0]
    expected = m.fresh(m.ReturnsTensor)
    expected.load_state_dict(weights)
    x = torch.randn(3, 6)
    assert torch.equal(twin(x), expected(x))
    assert not torch.equal(twin(x), module(x))


def test_stochastic_weight_averaging_beside_it():
    module = m.fresh(m.ReturnsTensor)
    averaging = StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1)
    m.trainer(callbacks=[callback(), averaging], max_epochs=4).fit(module, m.datamodule(3))
    mixed = m.fresh(type("Robust", (DSinkMixin, m.ReturnsTensor), {}))
    mixed.attach_dsink(callback().dsink)
    averaging = StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1)
    m.trainer(callbacks=[averaging], max_epochs=4).fit(mixed, m.datamodule(3))
    assert m.largest_difference(module.state_dict(), mixed.state_dict()) <= 1e-6


def test_the_checkpoint_holds_its_state_and_no_teacher(tmp_path):
    saver = ModelCheckpoint(dirpath=tmp_path, filename="last")
    trainer = m.trainer(callbacks=[callback(class_marginal="running"), saver], enable_checkpointing=True)
    trainer.fit(m.fresh(m.ReturnsTensor), m.datamodule(2))
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert set(checkpoint["state_dict"]) == set(m.fresh(m.ReturnsTensor).state_dict())
    state = checkpoint["callbacks"]["DSinkCallback"]
    assert float(state["class_marginal"]["average"].sum()) == pytest.approx(1, abs=1e-5)
    other = callback(class_marginal="running")
    other.load_state_dict(state)
    assert torch.equal(other.state_dict()["class_marginal"]["average"], state["class_marginal"]["average"])


def test_d_sink_that_never_ran():
    class Skips(m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            return None

    with pytest.raises(RuntimeError, match="D-SINK must run in training; in epoch 0 it did not run in any of 3 steps"):
        m.trainer(callbacks=[callback()]).fit(m.fresh(Skips), m.datamodule(3))


def test_two_forward_calls():
    with pytest.raises(RuntimeError, match="exactly one call of `forward` in a training step; got 2"):
        m.trainer(callbacks=[callback()]).fit(m.fresh(m.CallsTwice), m.datamodule(1))


def test_no_forward_call():
    with pytest.raises(RuntimeError, match=r"exactly one call of `forward` in a training step; got 0.*`logits_from`"):
        m.trainer(callbacks=[callback()]).fit(m.fresh(m.UsesSubmodules), m.datamodule(1))


def test_bad_use():
    with pytest.raises(TypeError, match="`dsink` must be a DSink; got NoneType"):
        DSinkCallback(None)
    mixed = m.fresh(type("Robust", (DSinkMixin, m.ReturnsTensor), {}))
    mixed.attach_dsink(callback().dsink)
    with pytest.raises(ValueError, match="`dsink` must be attached once; got a module with"):
        m.trainer(callbacks=[callback()]).fit(mixed, m.datamodule(1))
    with pytest.raises(ValueError, match="`logits_from` must name a submodule of ReturnsTensor; got 'classifier'"):
        m.trainer(callbacks=[callback(logits_from="classifier")]).fit(m.fresh(m.ReturnsTensor), m.datamodule(1))


@pytest.mark.parametrize("returns_loss", [False, True])
def test_manual_optimisation_is_refused_before_the_first_step(returns_loss):
    class Step(m.Manual):
        def training_step(self, batch, batch_idx):
            raise AssertionError("refused before")

    text = (
        r"Step optimises by hand .* Derive it from DSinkMixin and call `loss = self.add_dsink\(loss, logits, images\)`"
    )
    with pytest.raises(RuntimeError, match=text):
        m.trainer(callbacks=[callback()]).fit(m.fresh(Step), m.datamodule(2))


def test_two_of_them_are_refused_by_name():
    trainer = m.trainer(callbacks=[callback(), callback()])
    with pytest.raises(ValueError, match="`callbacks` must have one DSinkCallback; got 2. Leave one"):
        trainer.fit(m.fresh(m.ReturnsTensor), m.datamodule(1))


def test_logits_of_a_layer_that_configure_model_makes():
    class Late(m.ReturnsTensor):
        def configure_model(self):
            if not hasattr(self, "late"):
                self.late = torch.nn.Linear(m.NUM_CLASSES, m.NUM_CLASSES)

        def forward(self, x):
            return self.late(super().forward(x))

    add = callback(logits_from="late")
    m.trainer(callbacks=[add]).fit(m.fresh(Late), m.datamodule(2))
    assert add._capture.num_added_this_epoch == 2
    with pytest.raises(ValueError, match="`logits_from` must name a submodule of Late; got 'latter'"):
        m.trainer(callbacks=[callback(logits_from="latter")]).fit(m.fresh(Late), m.datamodule(1))


def test_no_advice_that_was_taken_already():
    class Twice(m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            return (self(batch[0]) + self(batch[0])).mean()

    with pytest.raises(RuntimeError, match=r"one call of `head` .* got 2.*add_dsink") as error:
        m.trainer(callbacks=[callback(logits_from="head")]).fit(m.fresh(Twice), m.datamodule(1))
    assert "logits_from" not in str(error.value)
    with pytest.raises(RuntimeError, match=r"exactly one call of `head` .* got 0") as error:
        m.trainer(callbacks=[callback(logits_from="head")]).fit(m.fresh(NeverHead), m.datamodule(1))
    assert "another submodule of NeverHead that gives the logits: body (16)" in str(error.value)


class NeverHead(m.ReturnsTensor):
    def training_step(self, batch, batch_idx):
        return self.body(batch[0]).mean()
