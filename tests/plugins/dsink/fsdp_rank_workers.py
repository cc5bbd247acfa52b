"""What each rank does in test_fsdp.py, and what one process does with the whole batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import small_modules as m
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lt_callbacks import DSink, DSinkMixin

NUM_STEPS = 3
#: Unequal, so that a mean over ranks of each rank's own mean would be wrong.
SHARES = {1: (16,), 2: (11, 5)}


class Scaled(m.ReturnsTensor):
    """The loss of a rank's share, scaled for a mean over ranks as D-SINK's is."""

    num_ranks = 1

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        return F.cross_entropy(self(x), y) * self.num_ranks * len(x) / m.BATCH


class Robust(DSinkMixin, Scaled):
    pass


def dsink() -> DSink:
    noise, imbalance = m.teachers()
    return DSink(noise_teacher=noise, imbalance_teacher=imbalance, alpha=3.0, tolerance=0.0, max_iterations=100)


def rows(step: int, num_ranks: int, rank: int) -> tuple[Tensor, Tensor]:
    counts = SHARES[num_ranks]
    first = step * m.BATCH + sum(counts[:rank])
    x, y = m.data(NUM_STEPS)[first : first + counts[rank]]
    return x, y


def train(form: str, num_ranks: int, rank: int) -> dict[str, Any]:
    """Three SGD steps, by the mixin's capture or by `DSink.loss` in a loop."""
    module = m.fresh(Robust)
    module.num_ranks = num_ranks
    add = dsink()
    if form == "mixin":
        module.attach_dsink(add)
    is_sharded = num_ranks > 1
    if is_sharded:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh("cpu", (num_ranks,))
        for part in (module.body, module.head, module):
            fully_shard(part, mesh=mesh)
    optimizer = torch.optim.SGD(module.parameters(), lr=m.LEARNING_RATE, momentum=0.9)
    gradients = []
    for step in range(NUM_STEPS):
        x, y = rows(step, num_ranks, rank)
        if form == "mixin":
            loss = module.training_step((x, y), step)
        else:
            logits = module(x)
            loss = F.cross_entropy(logits, y) * num_ranks * len(x) / m.BATCH + add.loss(logits, x)
        optimizer.zero_grad()
        loss.backward()
        gradients.append({name: whole(p.grad) for name, p in module.named_parameters()})
        optimizer.step()
    parts = [p for teacher in (add.noise_teacher, add.imbalance_teacher) for p in teacher_tensors(teacher)]
    return {
        "gradients": gradients,
        "weights": {name: whole(p) for name, p in module.named_parameters()},
        "sharded": [type(p).__name__ == "DTensor" and len(p.to_local()) < len(p) for p in module.parameters()],
        "state": sorted(module.state_dict()),
        "teachers": [p.detach().clone() for p in parts],
        "teacher_types": {type(p).__name__ for p in parts},
    }


def teacher_tensors(teacher: Any) -> list[Tensor]:
    return list(teacher.module.parameters())


def whole(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    full = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full.detach().clone()


def fsdp_worker(rank: int, folder: Path) -> None:
    torch.save({form: train(form, 2, rank) for form in ("loop", "mixin")}, folder / f"rank{rank}.pt")


def plain_teachers() -> list[Tensor]:
    noise, imbalance = m.teachers()
    return [p.detach() for teacher in (noise, imbalance) for p in nn.Module.parameters(teacher)]
