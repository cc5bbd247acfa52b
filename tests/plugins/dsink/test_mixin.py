import copy

import pytest
import small_modules as m
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel

from lt_callbacks import DSink, DSinkMixin


class Robust(DSinkMixin, m.ReturnsTensor):
    pass


def attached(kind=Robust, **settings):
    noise, imbalance = m.teachers()
    module = m.fresh(kind)
    module.attach_dsink(DSink(noise_teacher=noise, imbalance_teacher=imbalance, **settings))
    return module


def test_no_teacher_in_parameters_state_checkpoint_or_optimiser(tmp_path):
    module, plain = attached(), m.fresh(m.ReturnsTensor)
    assert list(module.state_dict()) == list(plain.state_dict())
    assert len(list(module.parameters())) == len(list(plain.parameters()))
    assert [name for name, _ in module.named_modules()] == [name for name, _ in plain.named_modules()]
    saver = ModelCheckpoint(dirpath=tmp_path, filename="last")
    trainer = m.trainer(callbacks=[saver], enable_checkpointing=True)
    trainer.fit(module, m.datamodule(3))
    assert sum(len(g["params"]) for g in trainer.optimizers[0].param_groups) == len(list(plain.parameters()))
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert set(checkpoint["state_dict"]) == set(plain.state_dict())
    assert set(checkpoint["dsink"]) == {"class_marginal", "queue"}
    loaded = m.ReturnsTensor.load_from_checkpoint(tmp_path / "last.ckpt")
    assert m.largest_difference(loaded.state_dict(), module.state_dict()) == 0


def test_running_marginal_and_queue_continue_from_a_checkpoint(tmp_path):
    settings = {"class_marginal": "running", "queue_batches": 2, "tolerance": 1e-7, "max_iterations": 2000}
    straight = attached(**settings)
    m.trainer(max_epochs=4).fit(straight, m.datamodule(3))

    saver = ModelCheckpoint(dirpath=tmp_path, save_last=True)
    m.trainer(callbacks=[saver], enable_checkpointing=True, max_epochs=2).fit(attached(**settings), m.datamodule(3))
    resumed = attached(**settings)
    m.trainer(max_epochs=4).fit(resumed, m.datamodule(3), ckpt_path=tmp_path / "last.ckpt")
    assert m.largest_difference(resumed.state_dict(), straight.state_dict()) == 0


def test_copies_share_the_teachers_and_are_not_seen():
    module = attached()
    average = AveragedModel(module)
    capture = module._dsink_capture
    assert average.module._dsink_capture.dsink is capture.dsink
    assert average.module._dsink_capture is not capture

    class MeanTeacher(Robust):
        def training_step(self, batch, batch_idx):
            self.copies[0](batch[0])
            return super().training_step(batch, batch_idx)

    outer = attached(MeanTeacher)
    outer.copies = [copy.deepcopy(module)]
    m.trainer().fit(outer, m.datamodule(2))
    expected = attached()
    m.trainer().fit(expected, m.datamodule(2))
    assert m.largest_difference(outer.state_dict(), expected.state_dict()) == 0


def test_a_hook_on_a_submodule_does_not_see_the_copys_submodule():
    module = attached(logits_from="head")
    twin = copy.deepcopy(module)
    capture = module._dsink_capture
    capture._is_armed = True
    twin(torch.randn(2, 6))
    assert capture._calls == []
    module(torch.randn(2, 6))
    assert len(capture._calls) == 1


@pytest.mark.parametrize("kind", ["swa", "ema"])
def test_weight_averaging_callbacks(kind):
    if kind == "swa":
        averaging = StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1)
    else:
        module = pytest.importorskip("lightning.pytorch.callbacks.weight_averaging")
        averaging = module.WeightAveraging(avg_fn=lambda old, new, _: 0.9 * old + 0.1 * new)
    module = attached()
    m.trainer(callbacks=[averaging], max_epochs=4).fit(module, m.datamodule(4))
    plain = m.fresh(m.ReturnsTensor)
    assert list(module.state_dict()) == list(plain.state_dict())
    assert m.largest_difference(module.state_dict(), plain.state_dict()) > 1e-2
    assert module._dsink_capture.dsink.last_step is None


def test_two_forward_calls_name_the_explicit_form_and_candidates():
    class Twice(DSinkMixin, m.CallsTwice):
        pass

    with pytest.raises(RuntimeError, match=r"exactly one call of `forward`.*got 2.*add_dsink.*body \(16\), head \(4\)"):
        m.trainer().fit(attached(Twice), m.datamodule(1))


def test_the_explicit_form_serves_two_forward_calls():
    class Explicit(DSinkMixin, m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            x, y = batch
            self(x + 1)
            logits = self(x)
            return self.add_dsink(nn.functional.cross_entropy(logits, y), logits, x)

    settings = {"alpha": 3.0, "tolerance": 1e-7, "max_iterations": 5000}
    module = attached(Explicit, **settings)
    m.trainer().fit(module, m.datamodule())
    expected = m.hand_written(m.fresh(m.ReturnsTensor), alpha=3.0)
    assert m.largest_difference(module.state_dict(), expected) <= 1e-5


def test_manual_optimisation_with_the_explicit_form_and_the_error_without():
    class Manual(DSinkMixin, m.Manual):
        pass

    module = attached(Manual, alpha=3.0, tolerance=1e-7, max_iterations=5000)
    module.is_explicit = True
    m.trainer().fit(module, m.datamodule())
    assert m.largest_difference(module.state_dict(), m.hand_written(m.fresh(m.ReturnsTensor), alpha=3.0)) <= 1e-5
    with pytest.raises(RuntimeError, match=r"Manual optimises by hand .*\. Call `loss = self.add_dsink\(loss, logits"):
        m.trainer().fit(attached(Manual), m.datamodule(2))


@pytest.mark.parametrize("returns_loss", [False, True])
def test_manual_optimisation_without_the_explicit_form_ends_at_the_first_step(returns_loss):
    steps = []

    class Step(m.Manual):
        def training_step(self, batch, batch_idx):
            steps.append(batch_idx)
            super().training_step(batch, batch_idx)
            return nn.functional.cross_entropy(self(batch[0]), batch[1]) if returns_loss else None

    with pytest.raises(RuntimeError, match=r"Mixed optimises by hand \(`automatic_optimization = False`\), so nothing"):
        m.trainer().fit(attached(type("Mixed", (DSinkMixin, Step), {})), m.datamodule(3))
    assert steps == [0]


def test_a_manual_step_without_d_sink_may_follow_one_with_it():
    class Alternates(DSinkMixin, m.Manual):
        def training_step(self, batch, batch_idx):
            self.is_explicit = batch_idx % 2 == 0
            return super().training_step(batch, batch_idx)

    module = attached(Alternates)
    m.trainer().fit(module, m.datamodule(4))
    assert module._dsink_capture.num_added_this_epoch == 2


def test_a_step_that_goes_past_the_mixin_is_an_error_and_no_silence():
    class Past(DSinkMixin, m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            x, y = batch[:2]
            return nn.functional.cross_entropy(self(x), y)

    with pytest.raises(RuntimeError, match=r"in epoch 0 none of 3 batches came by it: .*`super\(\)\.training_step`"):
        m.trainer().fit(attached(Past), m.datamodule(3))


def test_a_skipped_step_passes_through():
    class Skips(DSinkMixin, m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            return None if batch_idx % 2 else super().training_step(batch, batch_idx)

    class Inner(m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            return None if batch_idx % 2 else super().training_step(batch, batch_idx)

    class Mixed(DSinkMixin, Inner):
        pass

    first, second = attached(Skips), attached(Mixed)
    for module in (first, second):
        m.trainer().fit(module, m.datamodule(4))
    assert m.largest_difference(first.state_dict(), second.state_dict()) == 0


def test_validation_and_calls_between_steps_are_not_seen():
    module = attached()
    module(torch.randn(2, 6))
    module.eval()
    module(torch.randn(2, 6))
    assert module._dsink_capture._calls == []


def test_without_an_attached_dsink_it_is_the_plain_module():
    module, plain = m.fresh(Robust), m.fresh(m.ReturnsTensor)
    for each in (module, plain):
        m.trainer().fit(each, m.datamodule(3))
    assert m.largest_difference(module.state_dict(), plain.state_dict()) == 0


def test_detach_ends_it():
    module = attached(logits_from="head")
    module.detach_dsink()
    assert not module.head._forward_hooks
    with pytest.raises(RuntimeError, match="`add_dsink` needs an attached DSink"):
        module.add_dsink(torch.zeros(()), torch.zeros(2, 4), torch.zeros(2, 6))


def test_a_step_outside_a_trainer():
    module = attached()
    x, y = m.data(1).tensors
    assert float(module.training_step((x, y), 0)) > float(m.fresh(m.ReturnsTensor).training_step((x, y), 0))


def test_bad_attachments():
    module = m.fresh(Robust)
    with pytest.raises(TypeError, match="`dsink` must be a DSink; got dict"):
        module.attach_dsink({})
    with pytest.raises(ValueError, match=r"`logits_from` must name a submodule of Robust; got 'haed'.*'head'"):
        attached(logits_from="haed")


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (
            lambda logits: [logits.mean()],
            "`training_step` must return the loss, a mapping with `loss`, or None; got list",
        ),
        (lambda logits: {"los": logits.mean()}, "`training_step` must return .*got dict"),
    ],
)
def test_an_output_without_a_loss(output, text):
    class Odd(DSinkMixin, m.ReturnsTensor):
        pass

    class Inner(m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            return output(self(batch[0]))

    class Mixed(DSinkMixin, Inner):
        pass

    with pytest.raises(RuntimeError, match=text):
        attached(Mixed).training_step((torch.zeros(2, 6), torch.zeros(2)), 0)


def test_a_forward_that_returns_no_logits():
    class Inner(m.ReturnsTensor):
        def forward(self, x):
            return {"logits": super().forward(x)}

        def training_step(self, batch, batch_idx):
            return self(batch[0])["logits"].mean()

    class Mixed(DSinkMixin, Inner):
        pass

    with pytest.raises(RuntimeError, match=r"`forward` must return logits of shape \(B, C\); got dict.*`logits_from`"):
        attached(Mixed).training_step((torch.zeros(2, 6), torch.zeros(2)), 0)


def test_images_by_key_from_a_mapping_batch():
    class Inner(m.UsesSubmodules):
        def training_step(self, batch, batch_idx):
            return super().training_step((batch["pixels"], batch["y"]), batch_idx)

    class Mixed(DSinkMixin, Inner):
        pass

    x, y = m.data(1).tensors
    exact = {"tolerance": 1e-7, "max_iterations": 5000}
    for keys in ({"images_from": "pixels"}, {}):
        loss = attached(Mixed, logits_from="head", **keys, **exact).training_step({"pixels": x, "y": y}, 0)
        assert float(loss) == pytest.approx(float(attached(**exact).training_step((x, y), 0)), rel=1e-5)
    wrong = attached(Mixed, logits_from="head", images_from="image")
    with pytest.raises(RuntimeError, match=r"`images_from` must name a tensor.*'image' gives NoneType.*'pixels', 'y'"):
        wrong.training_step({"pixels": x, "y": y}, 0)


def test_the_mixin_on_the_wrong_side_is_refused():
    class Wrong(m.ReturnsTensor, DSinkMixin):
        pass

    with pytest.raises(
        TypeError, match=r"left of the class.*Wrong with ReturnsTensor before it.*\(DSinkMixin, ReturnsTensor\)"
    ):
        attached(Wrong)
