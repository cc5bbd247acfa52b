"""Run by rank_trouble.py on two ranks: fits in which the ranks have other batches, then one in which a rank fails.

Arguments: folder for a JSON file a rank; "everything" or "failure", what comes before the end; what fails in the end:
"teacher", "step", "loader" or "optimiser"; on which rank.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import small_modules as m  # noqa: E402
import torch  # noqa: E402
from lightning.pytorch import Callback  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, IterableDataset, TensorDataset  # noqa: E402

from lt_callbacks import DSink, DSinkCallback, DSinkMixin  # noqa: E402
from lt_callbacks.plugins import RankAgreement  # noqa: E402

RANK = int(os.environ["LOCAL_RANK"])


class Counts(m.ReturnsTensor):
    num_steps = 0

    def training_step(self, batch, batch_idx):
        self.num_steps += 1
        return super().training_step(batch, batch_idx)


def loader(num_batches):
    """A loader of one's own, whose sampler Lightning leaves alone."""
    x, y = m.data(num_batches).tensors if num_batches else (torch.zeros(0, 6), torch.zeros(0, dtype=torch.int64))
    return DataLoader(TensorDataset(x, y), batch_sampler=Batches(num_batches))


class Batches:
    batch_size, drop_last = m.BATCH, False

    def __init__(self, num_batches):
        self.num_batches = num_batches

    def __len__(self):
        return self.num_batches

    def __iter__(self):
        return iter([list(range(i * m.BATCH, (i + 1) * m.BATCH)) for i in range(self.num_batches)])


class Stream(IterableDataset):
    def __init__(self, num_batches):
        self.num_batches = num_batches

    def __iter__(self):
        x, y = m.data(max(self.num_batches, 1)).tensors
        yield from zip(x[: self.num_batches * m.BATCH], y, strict=False)


class SaysLength(Stream):
    def __len__(self):
        return 5 * m.BATCH


def stream(num_batches):
    return DataLoader(Stream(num_batches), batch_size=m.BATCH)


def teachers(kind=None):
    noise, imbalance = m.teachers()
    return {"noise_teacher": noise if kind is None else kind(noise), "imbalance_teacher": imbalance}


def build(form, dsink):
    if form == "mixin":
        module = m.fresh(type("Robust", (DSinkMixin, Counts), {}))
        module.attach_dsink(dsink)
        return module, []
    return m.fresh(Counts), [RankAgreement({"a": 1}) if form == "agreement" else DSinkCallback(dsink)]


def fit(form, data, *, dsink=None, callbacks=(), catches=True, **settings):
    module, own = build(form, DSink(**teachers()) if dsink is None else dsink)
    trainer = m.trainer(
        devices=2, strategy="ddp", callbacks=[*own, *callbacks], use_distributed_sampler=False, **settings
    )
    before, found = list(trainer.callbacks), {}
    if not catches:
        trainer.fit(module, data)
        return found
    try:
        trainer.fit(module, data)
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"
    return {**found, "num_steps": module.num_steps, "as_before": set(trainer.callbacks) == set(before)}


class Grows(m.LightningDataModule):
    """Loaders that are made anew each epoch, in the second one with a batch more on the second rank."""

    num_made = 0

    def train_dataloader(self):
        self.num_made += 1
        return loader(3 + (RANK if self.num_made == 2 else 0))


class MayBeEmpty(m.LightningDataModule):
    def __init__(self):
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True

    def train_dataloader(self):
        return loader(0 if RANK else 3)


def everything():
    uneven = 3 + 2 * RANK
    yield "callback", lambda: fit("callback", loader(uneven))
    yield "mixin", lambda: fit("mixin", loader(uneven))
    yield "agreement", lambda: fit("agreement", loader(uneven))
    yield "local", lambda: fit("callback", loader(uneven), dsink=DSink(**teachers(), scope="local"))
    yield "fewer_on_the_second", lambda: fit("callback", loader(5 - 2 * RANK))
    yield "share", lambda: fit("callback", loader(10), limit_train_batches=0.3 + 0.2 * RANK)
    yield "way_out", lambda: fit("callback", loader(uneven), limit_train_batches=3, max_epochs=2)
    yield "equal", lambda: fit("mixin", loader(3), max_epochs=2)
    yield "made_anew", lambda: fit("callback", Grows(), reload_dataloaders_every_n_epochs=1, max_epochs=3)
    yield "none", lambda: fit("callback", MayBeEmpty())
    yield "stream", lambda: fit("callback", stream(uneven))
    yield "stream_mixin", lambda: fit("mixin", stream(5 - 2 * RANK))
    yield "stream_second_epoch", lambda: fit("callback", second_epoch(), max_epochs=3)
    yield "stream_equal", lambda: fit("callback", stream(3), max_epochs=2)
    yield "stream_limit", lambda: fit("callback", stream(uneven), limit_train_batches=3)
    yield "stream_steps", lambda: fit("callback", stream(3), max_steps=5, max_epochs=9)
    yield "stream_empty", lambda: fit("callback", stream(3 * RANK))
    yield "stream_says_length", lambda: fit("callback", DataLoader(SaysLength(uneven), batch_size=m.BATCH))


def second_epoch():
    class Changes(Stream):
        def __iter__(self):
            yield from super().__iter__()
            self.num_batches += RANK

    return DataLoader(Changes(3), batch_size=m.BATCH)


class Breaks(nn.Module):
    """A teacher that fails in its third call, on one rank; on both it is the same one."""

    fails_here = False

    def __init__(self, teacher):
        super().__init__()
        self.teacher, self.num_calls = teacher, 0

    def forward(self, x):
        self.num_calls += 1
        if self.num_calls == 3 and Breaks.fails_here:
            raise OSError("the teacher's disk is gone")
        return self.teacher(x)


class Raises(Callback):
    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        if trainer.global_step == 2:
            raise LookupError("the optimiser lost its place")


class BreaksOff(Stream):
    def __iter__(self):
        for number, sample in enumerate(super().__iter__()):
            if number == 3 * m.BATCH:
                raise EOFError("the file ends here")
            yield sample


def failure(what, rank):
    """The fit that fails, its error not caught: the process ends with it, as a script does."""
    fails_here = Breaks.fails_here = rank == RANK
    dsink = DSink(**teachers(Breaks if what == "teacher" else None))
    callbacks = [Raises()] if what == "optimiser" and fails_here else []
    data = loader(6)
    if what == "loader":
        data = DataLoader(BreaksOff(6) if fails_here else Stream(6), batch_size=m.BATCH)
    if what == "step" and fails_here:
        step = Counts.training_step

        def training_step(self, batch, batch_idx):
            loss = step(self, batch, batch_idx)
            if batch_idx == 2:
                raise ArithmeticError("the step went wrong")
            return loss

        Counts.training_step = training_step
    fit("callback", data, dsink=dsink, callbacks=callbacks, catches=False)


def main(folder, what, fails, on_rank):
    found = {}
    for name, case in everything() if what == "everything" else ():
        found[name] = case()
        # What is known so far, should the next case not end.
        (Path(folder) / f"{RANK}.json").write_text(json.dumps(found))
    (Path(folder) / f"{RANK}.json").write_text(json.dumps(found))
    failure(fails, int(on_rank))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
