"""Run by test_ddp.py: two processes under Lightning's DDP, then one process with the same global batches."""

import json
import os
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
PLUGINS = Path(__file__).parent.parent
sys.path += [str(Path(__file__).parent), str(PLUGINS), str(PLUGINS.parent / "transport")]

import small_modules as m  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from lt_callbacks import DSink, DSinkCallback, DSinkMixin, ProxyLabelMonitor  # noqa: E402

NUM_STEPS = 8


def build(form):
    noise, imbalance = m.teachers()
    add = DSink(noise_teacher=noise, imbalance_teacher=imbalance, alpha=3.0, tolerance=0.0, max_iterations=200)
    if form == "callback":
        return m.fresh(m.ReturnsTensor), [DSinkCallback(add)]
    module = m.fresh(type("Robust", (DSinkMixin, m.ReturnsTensor), {}))
    module.attach_dsink(add)
    return module, []


class Shares(type(m.datamodule())):
    """Rank r takes every second block of 16. Shares are even, since a user's own mean loss is not rescaled."""

    def train_dataloader(self):
        first = 16 * self.trainer.global_rank
        starts = range(first, 16 * NUM_STEPS, 32)
        return DataLoader(m.data(NUM_STEPS), batch_sampler=[list(range(start, start + 16)) for start in starts])


class Whole(Shares):
    def train_dataloader(self):
        return DataLoader(m.data(NUM_STEPS), batch_size=32)


def main() -> None:
    together = {}
    for form in ("mixin", "callback"):
        module, callbacks = build(form)
        trainer = m.trainer(
            devices=2, strategy="ddp", use_distributed_sampler=False, callbacks=[*callbacks, ProxyLabelMonitor()]
        )
        trainer.fit(module, Shares())
        together[form] = module.state_dict()
        rank = trainer.global_rank
    dist.destroy_process_group()
    if rank:
        return
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    differences = {}
    for form, weights in together.items():
        module, callbacks = build(form)
        m.trainer(callbacks=callbacks).fit(module, Whole())
        differences[form] = m.largest_difference(weights, module.state_dict())
    print("RESULT", json.dumps(differences), flush=True)


if __name__ == "__main__":
    main()
