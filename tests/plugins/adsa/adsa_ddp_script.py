"""Run by test_adsa_run.py as `adsa_ddp_script.py FOLDER [fail]`: two processes under Lightning's DDP, then one."""

import json
import os
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
PLUGINS = Path(__file__).parent.parent
sys.path += [str(Path(__file__).parent), str(PLUGINS), str(PLUGINS.parent / "transport")]

import adsa_small as small  # noqa: E402
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from lt_callbacks.distilled_set import ViewSettings  # noqa: E402
from lt_callbacks.plugins import ADSACallback  # noqa: E402

FITS = {
    "plain": {},
    # An odd number of images over two ranks, and fewer views than the other way round.
    "mixed": {"views": ViewSettings(crop="padded", crop_padding=1, mix="cutmix"), "num_fit_views": 2},
}


class Shares(small.Data):
    """Rank r trains on every second sample, so that running statistics differ between the ranks."""

    def train_dataloader(self):
        order = self.train_indices[self.trainer.global_rank :: 2]
        return DataLoader(TensorDataset(self.images[order], torch.tensor(self.given_labels)[order]), batch_size=11)


class FailsOnOneRank(small.Net):
    """Its second pass over the distilled images, when labels are made, fails on rank 1."""

    num_passes = 0

    def forward(self, images):
        if not self.training and self.num_steps:
            self.num_passes += 1
            if self.num_passes > 1 and self.trainer.global_rank == 1:
                raise RuntimeError("out of memory, say")
        return super().forward(images)


def relabel(folder, name, module, **settings):
    options = {"num_views": 3, "fit_on": name, **FITS[name]}
    callback = ADSACallback(folder / "in", output=folder / name, **options)
    running = small.trainer(callback, **settings)
    running.fit(module, Shares() if settings else small.Data())
    return callback.tau_fit, running


def main(folder: Path, *, is_failing: bool) -> None:
    ddp = {"devices": 2, "strategy": "ddp", "use_distributed_sampler": False, "max_epochs": 2}
    if is_failing:
        relabel(folder, "plain", small.fresh(FailsOnOneRank), **ddp)
        return
    for name in FITS:
        module = small.fresh()
        fit, running = relabel(folder, name, module, **ddp)
        rank = running.global_rank
        (folder / f"{name}-rank-{rank}.json").write_text(json.dumps(fit.to_dict()))
        running.strategy.barrier()
        if rank == 0:
            torch.save(module.state_dict(), folder / f"{name}.pt")
    dist.destroy_process_group()
    if rank:
        return
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    alone = folder / "alone"
    small.distilled_set().save(alone / "in")
    for name in FITS:
        module = small.fresh()
        module.load_state_dict(torch.load(folder / f"{name}.pt", weights_only=True))
        fit, _ = relabel(alone, name, module, max_epochs=0)
        (alone / f"{name}.json").write_text(json.dumps(fit.to_dict()))
    print("DONE", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), is_failing="fail" in sys.argv)
