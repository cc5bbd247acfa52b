from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Trainer
from small_teachers import IMAGES, network, table
from torch import nn
from user_project import QUIET, UserData, UserNet

from lt_callbacks import DSink, DSinkCallback
from lt_callbacks.teachers import CachedTeacher, ModuleTeacher


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
