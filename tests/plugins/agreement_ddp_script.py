"""Run by test_rank_agreement.py: two processes under Lightning's DDP that differ in what they were told.

Arguments: form ("callback" or "mixin"), what differs, folder for one JSON file a rank.
"""

import json
import os
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
sys.path += [str(Path(__file__).parent), str(Path(__file__).parent.parent / "transport")]

import small_modules as m  # noqa: E402
import torch  # noqa: E402

from lt_callbacks import DSink, DSinkCallback, DSinkMixin  # noqa: E402
from lt_callbacks.plugins import RankAgreement  # noqa: E402

RANK = int(os.environ.get("LOCAL_RANK", "0"))


class Counts(m.ReturnsTensor):
    num_steps = 0

    def training_step(self, batch, batch_idx):
        self.num_steps += 1
        return super().training_step(batch, batch_idx)


def build(form, differs):
    noise, imbalance = m.teachers()
    if differs == "imbalance_teacher" and RANK:
        with torch.no_grad():
            imbalance[0].weight[0, 0] += 1e-3
    alpha = 3.0 + RANK if differs == "alpha" else 3.0
    add = DSink(noise_teacher=noise, imbalance_teacher=imbalance, alpha=alpha)
    callbacks = [RankAgreement({"job": {"seed": RANK}})] if differs == "facts" else []
    if form == "callback":
        return m.fresh(Counts), [*callbacks, DSinkCallback(add)]
    module = m.fresh(type("Robust", (DSinkMixin, Counts), {}))
    module.attach_dsink(add)
    return module, callbacks


class Manifest:
    sha256 = f"{RANK}" * 64


def main(form, differs, folder) -> None:
    module, callbacks = build(form, differs)
    datamodule = m.datamodule(4)
    if differs == "manifest":
        datamodule.manifest = Manifest
    error = None
    try:
        m.trainer(devices=2, strategy="ddp", callbacks=callbacks).fit(module, datamodule)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    (Path(folder) / f"{rank}.json").write_text(json.dumps({"error": error, "num_steps": module.num_steps}))


if __name__ == "__main__":
    main(*sys.argv[1:])
