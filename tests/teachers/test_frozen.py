from __future__ import annotations

import copy

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from small_teachers import IMAGES, network, table
from torch import nn
from user_project import QUIET, UserNet

from lt_callbacks.teachers import CachedTeacher, FrozenTeacher, ModuleTeacher
from lt_callbacks.teachers.frozen import as_teacher


def test_log_probabilities_are_those_of_the_module_in_eval_mode():
    module = network().train()
    teacher = ModuleTeacher(module)
    expected = copy.deepcopy(module).eval()(IMAGES).log_softmax(1)
    got = teacher.log_probs(IMAGES)
    torch.testing.assert_close(got, expected)
    assert torch.equal(teacher.log_probs(IMAGES), got)
    assert not got.requires_grad


def test_the_source_is_untouched_and_later_changes_to_it_do_not_reach_the_teacher():
    module = network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    teacher = ModuleTeacher(module)
    expected = teacher.log_probs(IMAGES)
    assert module.training
    assert all(layer.training for layer in module)
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with torch.no_grad():
        module[-1].weight.zero_()
    assert torch.equal(teacher.log_probs(IMAGES), expected)


def test_a_teacher_learns_nothing():
    teacher = ModuleTeacher(network())
    before = {name: value.clone() for name, value in teacher.module.state_dict().items()}
    # Another hand, such as a trainer that puts all it finds into train mode.
    teacher.module.train()
    teacher.log_probs(IMAGES)
    assert not teacher.module.training
    assert not any(parameter.requires_grad for parameter in teacher.module.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.module.state_dict().items())


def test_a_lightning_module_may_belong_to_a_trainer():
    module = UserNet()
    trainer = Trainer(**QUIET, logger=False, enable_checkpointing=False, enable_model_summary=False)
    module.trainer = trainer
    teacher = ModuleTeacher(module, num_classes=3)
    assert module.trainer is trainer
    assert teacher.module._trainer is None
    assert teacher.num_classes == 3
    assert teacher.log_probs(IMAGES).shape == (6, 3)


def test_what_holds_a_teacher_has_none_of_its_parameters_and_copies_share_it():
    class Holder(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.teachers = {"module": ModuleTeacher(network()), "cached": CachedTeacher(table())}

    holder = Holder()
    assert set(holder.state_dict()) == {"layer.weight", "layer.bias"}
    assert len(list(holder.parameters())) == 2
    copied = copy.deepcopy(holder)
    assert copied.layer is not holder.layer
    assert copied.teachers["module"] is holder.teachers["module"]
    assert copied.teachers["cached"] is holder.teachers["cached"]


def test_release_leaves_a_working_teacher():
    for teacher in (ModuleTeacher(network()), CachedTeacher(table())):
        expected = teacher.log_probs(IMAGES, torch.arange(6))
        teacher.release()
        assert torch.equal(teacher.log_probs(IMAGES, torch.arange(6)), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_teachers_follow_the_images_and_give_the_memory_back():
    for teacher in (ModuleTeacher(network()), CachedTeacher(table())):
        assert teacher.log_probs(IMAGES.cuda(), torch.arange(6).cuda()).is_cuda
        teacher.release()
        assert not teacher.log_probs(IMAGES, torch.arange(6)).is_cuda


class Pair(nn.Module):
    def forward(self, images):
        return images, images


@pytest.mark.parametrize(
    ("module", "got"),
    [
        (nn.Identity(), r"\(6, 1, 2, 2\) from Identity"),
        (nn.Flatten(0), r"\(24,\) from Flatten"),
        (nn.Flatten(0, 2), r"\(12, 2\) from Flatten"),
        (Pair(), "tuple from Pair"),
    ],
)
def test_outputs_that_are_no_logits_are_refused(module, got):
    with pytest.raises(ValueError, match=rf"must return logits of shape \(6, C\) .*; got {got}. Wrap it"):
        ModuleTeacher(module).log_probs(IMAGES)


@pytest.mark.parametrize("value", [1, "inductor", None])
def test_compile_is_a_yes_or_no(value):
    with pytest.raises(TypeError, match=f"`compile` must be True or False; got {value!r}. Pass one of them"):
        ModuleTeacher(network(), compile=value)


def test_what_comes_out_of_inference_mode_is_an_ordinary_tensor():
    seen = []

    class Spy(nn.Module):
        def forward(self, images):
            seen.append(torch.is_inference_mode_enabled())
            return images.flatten(1)

    teacher = ModuleTeacher(Spy())
    for predict in (teacher.log_probs, teacher.predictions):
        constant = predict(IMAGES)
        assert not constant.is_inference()
        assert constant.data_ptr() != IMAGES.data_ptr()
        # A tensor of inference mode could not be saved for this backward pass.
        weight = torch.ones(6, 4, requires_grad=True)
        (weight * constant).sum().backward()
        assert torch.equal(weight.grad, constant)
    assert seen == [True, True]


def test_moving_and_releasing_leaves_ordinary_weights():
    teacher = ModuleTeacher(network())
    teacher.log_probs(IMAGES.double(), dtype=torch.float64)
    teacher.release()
    assert not any(tensor.is_inference() for tensor in teacher.module.state_dict().values())


@pytest.mark.slow
def test_a_compiled_teacher_says_the_same_under_the_same_names():
    plain, compiled = ModuleTeacher(network()), ModuleTeacher(network(), compile=True)
    assert compiled.sha256() == plain.sha256()
    assert compiled.module._compiled_call_impl is not None
    for images in (IMAGES, IMAGES, IMAGES[:4]):
        got = compiled.log_probs(images)
        assert not got.is_inference()
        torch.testing.assert_close(got, plain.log_probs(images))


def test_only_modules_and_teachers_are_teachers():
    with pytest.raises(TypeError, match=r"`module` must be a torch.nn.Module; got Tensor. Pass the trained module"):
        ModuleTeacher(table())
    assert isinstance(as_teacher("noise_teacher", network()), ModuleTeacher)
    cached = CachedTeacher(table())
    assert as_teacher("noise_teacher", cached) is cached
    with pytest.raises(TypeError, match="`noise_teacher` must be a module.*got Tensor. Wrap a table .* CachedTeacher"):
        as_teacher("noise_teacher", table())
    with pytest.raises(TypeError, match=r"`imbalance_teacher` must be a module .* got str.$"):
        as_teacher("imbalance_teacher", "resnet20")
    with pytest.raises(TypeError, match="abstract"):
        FrozenTeacher()
