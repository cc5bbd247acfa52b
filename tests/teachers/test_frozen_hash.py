from __future__ import annotations

import pytest
import torch
from small_teachers import IMAGES, network, table
from torch import nn

from lt_callbacks.teachers import CachedTeacher, FrozenTeacher, ModuleTeacher
from lt_callbacks.teachers.frozen import tensors_sha256


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
