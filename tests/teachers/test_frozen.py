from __future__ import annotations

import copy

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn
from user_project import QUIET, UserData, UserNet

from lt_callbacks import DSink, DSinkCallback
from lt_callbacks.teachers import CachedTeacher, FrozenTeacher, ModuleTeacher
from lt_callbacks.teachers.frozen import as_teacher, tensors_sha256


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))


IMAGES = torch.randn(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))


def table(num_samples: int = 10, *, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    logits = torch.randn(num_samples, 3, generator=torch.Generator().manual_seed(1))
    return logits.log_softmax(1).to(dtype)


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


def test_it_follows_the_dtype_it_is_told_and_answers_in_float32():
    teacher = ModuleTeacher(network())
    expected = teacher.log_probs(IMAGES)
    got = teacher.log_probs(IMAGES.bfloat16(), dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in teacher.module.parameters()} == {torch.bfloat16}
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, atol=0.05, rtol=0)
    torch.testing.assert_close(got.exp().sum(1), torch.ones(6))
    assert teacher.log_probs(IMAGES.double(), dtype=torch.float64).dtype == torch.float64


def test_a_module_of_buffers_alone_follows_too():
    class Prototypes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.tensor(3))
            self.register_buffer("prototypes", torch.randn(4, 3))

        def forward(self, images):
            return images.flatten(1) @ self.prototypes

    teacher = ModuleTeacher(Prototypes())
    assert teacher.log_probs(IMAGES.double(), dtype=torch.float64).dtype == torch.float64
    assert teacher.module.count.dtype == torch.int64


def test_a_module_without_tensors_works():
    assert ModuleTeacher(nn.Flatten()).log_probs(IMAGES, dtype=torch.bfloat16).shape == (6, 4)


def test_the_softmax_is_not_taken_in_half_precision():
    logits = torch.tensor([[0.0, 9.0, 8.97]])
    teacher = ModuleTeacher(nn.Identity())
    expected = logits.bfloat16().float().log_softmax(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(teacher.log_probs(logits.bfloat16()), expected)


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
        (nn.Identity(), r"Identity returned \(6, 1, 2, 2\)"),
        (nn.Flatten(0), r"Flatten returned \(24,\)"),
        (nn.Flatten(0, 2), r"Flatten returned \(12, 2\)"),
        (Pair(), "Pair returned tuple"),
    ],
)
def test_outputs_that_are_no_logits_are_refused(module, got):
    with pytest.raises(ValueError, match=rf"must return logits of shape \(6, C\); {got}. Wrap it"):
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_predictions_are_log_probabilities_up_to_a_constant_a_row(dtype):
    teacher = ModuleTeacher(network())
    got = teacher.predictions(IMAGES.to(dtype), dtype=dtype)
    assert got.dtype == torch.promote_types(dtype, torch.float32)
    torch.testing.assert_close(got.log_softmax(1), teacher.log_probs(IMAGES.to(dtype), dtype=dtype))
    assert (got.logsumexp(1).abs() > 1e-3).any(), "logits, not normalised once more than needed"
    cached = CachedTeacher(table())
    assert torch.equal(cached.predictions(IMAGES, torch.arange(6)), cached.log_probs(IMAGES, torch.arange(6)))


def test_the_surrounding_autocast_reaches_the_teacher():
    seen = []

    class Spy(nn.Linear):
        def forward(self, images):
            logits = super().forward(images.flatten(1))
            seen.append(logits.dtype)
            return logits

    teacher = ModuleTeacher(Spy(4, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert teacher.log_probs(IMAGES).dtype == torch.float32
    teacher.log_probs(IMAGES)
    assert seen == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize(("precision", "expected"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)])
def test_in_a_dsink_fit_a_teacher_computes_in_the_trainers_precision(precision, expected):
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))

        def forward(self, images):
            logits = self.layers(images)
            seen.append((logits.dtype, self.layers[1].weight.dtype, torch.is_inference_mode_enabled()))
            return logits

    class Net(UserNet):
        def training_step(self, batch, batch_idx):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

    trainer = Trainer(
        **QUIET,
        precision=precision,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[DSinkCallback(DSink(noise_teacher=Spy(), imbalance_teacher=Spy()))],
    )
    trainer.fit(Net(), UserData())
    assert len(seen) == 2 * 3
    assert set(seen) == {(expected, torch.float32, True)}


def test_it_takes_on_the_memory_format_of_the_images_once():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 3))
    images = torch.randn(5, 2, 4, 4)
    teacher = ModuleTeacher(module)
    weight = teacher.module[0].weight
    expected = teacher.log_probs(images)
    assert weight.is_contiguous()
    turned = images.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(teacher.log_probs(turned), expected)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    place = weight.data_ptr()
    teacher.log_probs(turned)
    assert weight.data_ptr() == place
    # Images of one channel lie both ways, and decide nothing.
    single = ModuleTeacher(nn.Sequential(nn.Conv2d(1, 4, 1), nn.Flatten()))
    single.log_probs(images[:, :1].contiguous(memory_format=torch.channels_last))
    assert not single._is_channels_last


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


def one_bit_more(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers but for the last bit of one of them."""
    changed = tensor.clone().contiguous()
    changed.view(-1).view(torch.uint8)[0] ^= 1
    return changed


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_equal_teachers_have_one_hash_and_one_bit_makes_another(dtype):
    first, second = ModuleTeacher(network().to(dtype)), ModuleTeacher(network().to(dtype))
    assert first.sha256() == second.sha256()
    assert len(first.sha256()) == 64
    weight = second.module[-1].weight
    weight.data = one_bit_more(weight.data)
    assert first.sha256() != second.sha256()

    cached, same = CachedTeacher(table(dtype=dtype)), CachedTeacher(table(dtype=dtype))
    assert cached.sha256() == same.sha256()
    assert cached.sha256() != CachedTeacher(one_bit_more(table(dtype=dtype))).sha256()
    assert cached.sha256() != first.sha256()


def test_buffers_are_part_of_a_teacher():
    changed = network()
    changed[2].running_mean[0] += 1
    assert ModuleTeacher(changed).sha256() != ModuleTeacher(network()).sha256()
    counted = network()
    counted[2].num_batches_tracked += 1
    assert ModuleTeacher(counted).sha256() != ModuleTeacher(network()).sha256()


def test_dtype_shape_and_name_are_part_of_the_hash():
    # The bytes are the same ones each time.
    zeros = {"a": torch.zeros(4)}
    others = [{"a": torch.zeros(4, dtype=torch.int32)}, {"a": torch.zeros(2, 2)}, {"b": torch.zeros(4)}, {}]
    hashes = {tensors_sha256(state) for state in (zeros, *others)}
    assert len(hashes) == 5
    both = {"a": torch.zeros(4), "b": torch.ones(4)}
    assert tensors_sha256(both) == tensors_sha256(dict(reversed(both.items())))
    assert tensors_sha256(both) != tensors_sha256({"a": both["b"], "b": both["a"]})


def test_how_a_tensor_lies_in_memory_is_not():
    values = torch.arange(6.0).view(2, 3)
    turned = values.T.contiguous().T
    assert not turned.is_contiguous()
    assert tensors_sha256({"a": turned}) == tensors_sha256({"a": values})
    assert tensors_sha256({"a": torch.zeros(3, 0)}) != tensors_sha256({"a": torch.zeros(0, 3)})
    assert tensors_sha256({"a": torch.tensor(1.0)}) != tensors_sha256({"a": torch.tensor(2.0)})


def test_what_a_module_keeps_beside_its_tensors_is_part_of_it():
    class WithNote(nn.Linear):
        def __init__(self, note: str) -> None:
            torch.manual_seed(0)
            super().__init__(4, 3)
            self.note = note

        def get_extra_state(self):
            return self.note

        def set_extra_state(self, state):
            self.note = state

    assert ModuleTeacher(WithNote("a")).sha256() == ModuleTeacher(WithNote("a")).sha256()
    assert ModuleTeacher(WithNote("a")).sha256() != ModuleTeacher(WithNote("b")).sha256()


def test_a_prediction_and_a_release_leave_the_hash():
    for teacher in (ModuleTeacher(network()), CachedTeacher(table())):
        before = teacher.sha256()
        teacher.log_probs(IMAGES, torch.arange(6))
        teacher.release()
        assert teacher.sha256() == before


def test_a_teacher_of_ones_own_may_have_no_hash():
    class Own(FrozenTeacher):
        def log_probs(self, images, index=None, *, dtype=None):
            return images.flatten(1).log_softmax(1)

    assert Own().sha256() is None
