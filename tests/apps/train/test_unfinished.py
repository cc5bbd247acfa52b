from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from disks import disk, fill
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from lt_callbacks.apps.shared.preemption import Preempted, Preemption
from lt_callbacks.apps.train.unfinished import UnfinishedTraining, WholeFile

STEPS = 4
EPOCHS = 3


class Small(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Look(Callback):
    """After each step and each epoch: the step that the saved checkpoint is of, None where there is none."""

    def __init__(self, path: Path, *, ask_at: int | None = None, preemption: Preemption | None = None) -> None:
        self.path, self.ask_at, self.preemption = path, ask_at, preemption
        self.saved: list[tuple[int, int]] = []
        self._before: Any = None

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        self.note()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == self.ask_at:
            self.preemption.signal = signal.SIGTERM

    def on_train_end(self, *args: Any) -> None:
        self.note()

    def note(self) -> None:
        if not self.path.exists() or self.path.stat().st_ino == self._before:
            return
        self._before = self.path.stat().st_ino
        content = torch.load(self.path, weights_only=True)
        self.saved.append((content["epoch"], content["global_step"]))


def train(
    folder: Path,
    *,
    ask_at: int | None = None,
    file: Path | None = None,
    extra: tuple[Callback, ...] = (),
    **settings: Any,
):
    preemption = Preemption(file=file)
    settings = {"every_seconds": None, "every_n_steps": None, **settings}
    told: list[str] = []
    unfinished = UnfinishedTraining(folder / "unfinished", preemption=preemption, say=told.append, **settings)
    unfinished.told = told
    look = Look(unfinished.path, ask_at=ask_at, preemption=preemption)
    trainer = Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        callbacks=[*extra, unfinished, look],
        plugins=[WholeFile(on_failure=unfinished.could_not_save)],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(torch.ones(4 * STEPS, 2), batch_size=4)
    goes_on = str(unfinished.path) if unfinished.path.exists() else None
    trainer.fit(Small(), loader, ckpt_path=goes_on)
    return unfinished, look, trainer


def test_a_training_that_nobody_stops_saves_nothing_unless_it_is_told_to(tmp_path):
    unfinished, look, _ = train(tmp_path)
    assert look.saved == []
    assert not unfinished.folder.exists()


def test_zero_seconds_is_every_epoch_but_the_last(tmp_path):
    _, look, _ = train(tmp_path, every_seconds=0.0)
    assert look.saved == [(0, STEPS), (1, 2 * STEPS)]


def test_it_saves_where_so_much_time_went_by_since_the_last_time(tmp_path, monkeypatch):
    _, look, _ = train(tmp_path / "long", every_seconds=1000.0)
    assert look.saved == []
    # A clock that goes on by a second an epoch.
    now = [0.0]
    monkeypatch.setattr("lt_callbacks.apps.train.unfinished.time", type("Clock", (), {"monotonic": lambda: now[0]}))
    monkeypatch.setattr(Small, "on_train_epoch_start", lambda self: now.__setitem__(0, now[0] + 1.0))
    _, look, _ = train(tmp_path / "second", every_seconds=2.0)
    assert look.saved == [(1, 2 * STEPS)]
    monkeypatch.setitem(globals(), "EPOCHS", 6)
    _, look, _ = train(tmp_path / "third", every_seconds=2.0)
    assert look.saved == [(1, 2 * STEPS), (3, 4 * STEPS)]


def test_it_saves_every_so_many_steps_over_epochs(tmp_path):
    _, look, _ = train(tmp_path, every_n_steps=3)
    # After the last step there is nothing to go on with.
    assert look.saved[:3] == [(0, 3), (1, 6), (2, 9)]


@pytest.mark.parametrize("step", [1, STEPS + 2])
def test_a_request_saves_and_stops_after_the_step(tmp_path, step):
    with pytest.raises(Preempted, match=f"asked to stop in epoch {1 + step // STEPS}, after step {step}$") as stopped:
        train(tmp_path, ask_at=step)
    assert stopped.value.code == 143
    content = torch.load(tmp_path / "unfinished" / "last.ckpt", weights_only=True)
    assert content["global_step"] == step
    _, _, trainer = train(tmp_path)
    assert trainer.global_step == EPOCHS * STEPS


def test_a_file_is_a_request_too(tmp_path):
    (tmp_path / "stop").touch()
    with pytest.raises(Preempted, match="after step 1$"):
        train(tmp_path, file=tmp_path / "stop")


def test_seconds_go_on_where_the_run_before_ended(tmp_path):
    settings: dict[str, Any] = {"every_seconds": None, "every_n_steps": None, "preemption": Preemption()}
    first = UnfinishedTraining(tmp_path, **settings)
    time.sleep(0.05)
    saved = first.state_dict()
    assert 0.05 <= saved["seconds"] <= first.seconds
    second = UnfinishedTraining(tmp_path, **settings)
    second.load_state_dict({"seconds": 1000.0})
    assert second.seconds >= 1000.0
    # What a third run starts from has both.
    assert second.state_dict()["seconds"] >= 1000.0


@pytest.mark.parametrize("length", [0, 10, 500])
def test_a_truncated_checkpoint_is_refused_by_name(tmp_path, length):
    with pytest.raises(Preempted):
        train(tmp_path, ask_at=2)
    path = tmp_path / "unfinished" / "last.ckpt"
    path.write_bytes(path.read_bytes()[:length])
    text = (
        r"The checkpoint '.*last\.ckpt' must be as it was written; (reading it gave \w+|it is truncated or damaged: .*)\. "
        "Delete it, and the training"
    )
    with pytest.raises(ValueError, match=text):
        train(tmp_path)


class Harmful:
    def __reduce__(self):
        return (open, ("harm.txt", "w"))


def test_code_in_a_checkpoint_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Harmful()}, tmp_path / "harmful.ckpt")
    with pytest.raises(ValueError, match=r"harmful\.ckpt' must be as it was written; reading it gave UnpicklingError"):
        WholeFile().load_checkpoint(tmp_path / "harmful.ckpt")
    assert not (tmp_path / "harm.txt").exists()


def test_a_save_that_fails_half_way_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "last.ckpt"
    WholeFile().save_checkpoint({"step": 1}, path)

    def full(descriptor: int) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("lt_callbacks._files.os.fsync", full)
        with pytest.raises(OSError, match="No space left"):
            WholeFile().save_checkpoint({"step": 2}, path)
    assert WholeFile().load_checkpoint(path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def save_and_be_killed(path: Path) -> None:
    os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
    WholeFile().save_checkpoint({"step": 2}, path)


@pytest.mark.ddp
def test_a_process_that_is_killed_while_it_saves_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    WholeFile().save_checkpoint({"step": 1}, path)
    process = multiprocessing.get_context("fork").Process(target=save_and_be_killed, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert WholeFile().load_checkpoint(path) == {"step": 1}
    WholeFile().save_checkpoint({"step": 3}, path)
    assert WholeFile().load_checkpoint(path) == {"step": 3}


class MakeRoom(Callback):
    """At the start of an epoch, the disk has room again."""

    def __init__(self, filler: Path, *, epoch: int) -> None:
        self.filler, self.epoch = filler, epoch

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        if trainer.current_epoch == self.epoch:
            self.filler.unlink()


def test_a_full_disk_does_not_end_the_training_and_is_spoken_of_once(tmp_path):
    """What a checkpoint guards against may never come; ending the training would be it."""
    with disk(tmp_path / "disk") as place:
        filler = fill(place)
        unfinished, look, trainer = train(place, every_n_steps=1, extra=(MakeRoom(filler, epoch=2),))
        assert trainer.global_step == EPOCHS * STEPS
        (told,) = unfinished.told
        assert told == (
            f"The checkpoint '{unfinished.path}' could not be written: No space left on device. The training goes on; if "
            "it is stopped, it begins again where its last checkpoint was. Make room there."
        )
        # With room, they are written again.
        assert [step for _, step in look.saved][0] > 2 * STEPS
        assert WholeFile().load_checkpoint(unfinished.path)["global_step"] == EPOCHS * STEPS - 1


def test_a_request_to_stop_on_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    with disk(tmp_path / "disk") as place:
        with pytest.raises(Preempted):
            train(place, ask_at=2)
        fill(place)
        with pytest.raises(
            Preempted, match="after step 5; its checkpoint could not be written: No space left on device$"
        ) as stopped:
            train(place, ask_at=5)
        assert stopped.value.code == 143
        assert WholeFile().load_checkpoint(place / "unfinished" / "last.ckpt")["global_step"] == 2
        assert [path.name for path in (place / "unfinished").iterdir()] == ["last.ckpt"]


def test_an_error_that_is_no_disks_is_an_error(tmp_path, monkeypatch):
    def wrong(*_: object) -> None:
        raise OSError("not of a disk")

    monkeypatch.setattr("lt_callbacks.apps.train.unfinished.write_bytes", wrong)
    with pytest.raises(OSError, match="not of a disk"):
        train(tmp_path, every_n_steps=1)


def saved_checkpoint(folder: Path, **changes: Any) -> tuple[Path, dict[str, Any]]:
    module = Small()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module.layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    content = {"epoch": 1, "state_dict": module.state_dict(), "optimizer_states": [optimizer.state_dict()], **changes}
    WholeFile().save_checkpoint(content, folder / "last.ckpt")
    return folder / "last.ckpt", content


def test_a_flipped_bit_of_a_checkpoint_is_found(tmp_path):
    path, saved = saved_checkpoint(tmp_path)
    content = bytearray(path.read_bytes())
    content[content.index(saved["state_dict"]["layer.weight"].numpy().tobytes())] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(
        ValueError, match=r"last\.ckpt' must be as it was written; its entry '.*' does not fit its checksum"
    ):
        WholeFile().load_checkpoint(path)


def test_numbers_that_are_not_finite_are_named(tmp_path):
    bad = {"layer.weight": torch.tensor([[1.0, torch.nan]]), "layer.bias": torch.zeros(1)}
    path, _ = saved_checkpoint(tmp_path, state_dict=bad)
    text = (
        r"last\.ckpt' must be of a training whose numbers are finite; it has NaN in 'state_dict\.layer\.weight'. Delete"
    )
    with pytest.raises(ValueError, match=text):
        WholeFile().load_checkpoint(path)
    path, saved = saved_checkpoint(tmp_path)
    saved["optimizer_states"][0]["state"][0]["momentum_buffer"][0, 1] = torch.inf
    WholeFile().save_checkpoint(saved, path)
    with pytest.raises(ValueError, match=r"infinity in 'optimizer_states\[0\]\.state\.0\.momentum_buffer'"):
        WholeFile().load_checkpoint(path)


def test_infinities_that_callbacks_keep_are_fine(tmp_path):
    path, _ = saved_checkpoint(tmp_path, callbacks={"EarlyStopping": {"best_score": torch.tensor(torch.inf)}})
    assert WholeFile().load_checkpoint(path)["epoch"] == 1


def test_a_file_of_something_else_is_no_checkpoint(tmp_path):
    torch.save([1, 2], tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"last\.ckpt' must be a checkpoint; it holds a list. Delete it"):
        WholeFile().load_checkpoint(tmp_path / "last.ckpt")
