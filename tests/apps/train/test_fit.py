from __future__ import annotations

import contextlib
import math
import signal
import time
from pathlib import Path

import pytest
import torch
from interrupted_run import NUM_EPOCHS, STEPS, AtStep, Done, train
from lightning.pytorch import Callback

from lt_callbacks.apps.shared.preemption import Preempted, Preemption
from lt_callbacks.apps.train.fit import finite

#: Steps at which a training is stopped: in the middle of an epoch, and at its last step.
WITHIN = (1, STEPS - 1, STEPS + 1, 3 * STEPS - 1)
AT_THE_END = (STEPS, 2 * STEPS)

ON_REQUEST = "checkpoint_every_seconds=null"

#: Lightning reads the loaders' states after `estimated_stepping_batches` has made the loaders, and never loads them.


def interrupt(folder: Path, *overrides: str, at: int, with_teachers: bool = False, pause: float = 0.0) -> Preempted:
    """Start a training and ask it to stop in step ``at``."""
    preemption = Preemption()

    def ask() -> None:
        time.sleep(pause)
        preemption.signal = signal.SIGTERM

    with pytest.raises(Preempted) as stopped:
        train(folder, *overrides, with_teachers=with_teachers, preemption=preemption, extra=(AtStep(at, ask),))
    return stopped.value


def differing(first: Done, second: Done) -> list[str]:
    """Names of the weights and buffers of which a single bit differs."""
    assert first.weights.keys() == second.weights.keys()
    return [name for name, value in first.weights.items() if not torch.equal(value, second.weights[name])]


def curves(done: Done) -> dict[str, list[str]]:
    """All points, to the last digit."""
    return {name: [repr(value) for value in line] for name, line in done.trained.curves.items()}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The training that nobody stopped: without and with teachers."""
    folders = [tmp_path_factory.mktemp("straight") for _ in range(2)]
    return [train(folder, ON_REQUEST, with_teachers=bool(i)) for i, folder in enumerate(folders)]


def test_a_training_has_the_steps_and_curves_that_it_should(straight):
    for done in straight:
        assert done.steps == list(range(1, NUM_EPOCHS * STEPS + 1))
        assert done.trained.curves["epoch"] == list(range(1, NUM_EPOCHS + 1))
        assert {len(line) for line in done.trained.curves.values()} == {NUM_EPOCHS}
        assert done.trained.seconds > 0
    plain, robust = straight
    assert plain.trained.observed == {}
    assert {"dsink/marginal_error", "dsink/entropy"} <= robust.trained.observed.keys()
    assert differing(plain, robust)


@pytest.mark.parametrize("with_teachers", [False, True])
@pytest.mark.parametrize("at", WITHIN)
def test_stopped_within_an_epoch_it_ends_as_if_it_had_not_been(tmp_path, straight, at, with_teachers):
    expected = straight[with_teachers]
    stopped = interrupt(tmp_path, ON_REQUEST, at=at, with_teachers=with_teachers)
    assert (stopped.code, stopped.why) == (143, f"asked to stop in epoch {1 + at // STEPS}, after step {at}")
    resumed = train(tmp_path, ON_REQUEST, with_teachers=with_teachers)
    assert resumed.steps == expected.steps[at:]
    assert differing(resumed, expected) == []
    assert curves(resumed) == curves(expected)
    # What the monitor says of the last epoch too, in which one of the stops is.
    assert resumed.trained.observed == expected.trained.observed


@pytest.mark.parametrize("at", AT_THE_END)
def test_stopped_at_the_last_step_of_an_epoch_it_ends_with_the_same_weights(tmp_path, straight, at):
    interrupt(tmp_path, ON_REQUEST, at=at, with_teachers=True)
    resumed = train(tmp_path, ON_REQUEST, with_teachers=True)
    assert resumed.steps == straight[1].steps[at:]
    assert differing(resumed, straight[1]) == []


@pytest.mark.parametrize("at", AT_THE_END)
def test_stopped_at_the_last_step_of_an_epoch_it_keeps_that_point_of_its_curves(tmp_path, straight, at):
    interrupt(tmp_path, ON_REQUEST, at=at)
    assert curves(train(tmp_path, ON_REQUEST)) == curves(straight[0])


@pytest.mark.parametrize(
    ("settings", "at", "saved"),
    [
        (("checkpoint_every_seconds=0",), STEPS + 3, STEPS),
        (("checkpoint_every_seconds=0",), 2 * STEPS, STEPS),
        pytest.param((ON_REQUEST, "checkpoint_every_n_steps=4"), STEPS + 3, STEPS + 2),
        pytest.param(("checkpoint_every_seconds=0", "checkpoint_every_n_steps=5"), 2 * STEPS - 1, 10),
    ],
)
def test_killed_in_any_step_it_goes_on_from_its_last_checkpoint(tmp_path, straight, settings, at, saved):
    def fail() -> None:
        raise KeyError("as if it were killed")

    with pytest.raises(KeyError, match="killed"):
        train(tmp_path, *settings, with_teachers=True, extra=(AtStep(at, fail),))
    resumed = train(tmp_path, *settings, with_teachers=True)
    assert resumed.steps == straight[1].steps[saved:]
    assert differing(resumed, straight[1]) == []
    assert curves(resumed) == curves(straight[1])


def test_asked_to_stop_in_its_very_last_step_it_loses_nothing(tmp_path, straight):
    preemption = Preemption()
    last = AtStep(3 * STEPS, lambda: setattr(preemption, "signal", signal.SIGTERM))
    # There is no need to stop any more.
    with contextlib.suppress(Preempted):
        train(tmp_path, ON_REQUEST, preemption=preemption, extra=(last,))
    done = train(tmp_path, ON_REQUEST)
    assert differing(done, straight[0]) == []
    assert curves(done) == curves(straight[0])


def test_it_may_be_stopped_again_and_again(tmp_path, straight):
    for at in (2, STEPS + 2, STEPS + 3):
        interrupt(tmp_path, ON_REQUEST, at=at)
    resumed = train(tmp_path, ON_REQUEST)
    assert resumed.steps == straight[0].steps[STEPS + 3 :]
    assert differing(resumed, straight[0]) == []
    assert curves(resumed) == curves(straight[0])


def test_a_memory_of_the_objective_goes_on_too(tmp_path):
    settings = (ON_REQUEST, "objective=elr")
    expected = train(tmp_path / "straight", *settings)
    interrupt(tmp_path / "stopped", *settings, at=2 * STEPS)
    assert differing(train(tmp_path / "stopped", *settings), expected) == []


def test_seconds_are_those_of_all_runs_together(tmp_path):
    interrupt(tmp_path, ON_REQUEST, at=STEPS, pause=1.0)
    content = torch.load(tmp_path / "unfinished" / "last.ckpt", weights_only=True)
    before = content["callbacks"]["UnfinishedTraining"]["seconds"]
    assert before > 1.0
    started = time.monotonic()
    total = train(tmp_path, ON_REQUEST).trained.seconds
    assert before < total < before + time.monotonic() - started


def test_without_a_path_it_starts_anew(tmp_path, straight):
    interrupt(tmp_path, ON_REQUEST, at=STEPS)
    again = train(tmp_path, ON_REQUEST, "ckpt_path=null")
    assert again.steps == straight[0].steps
    assert differing(again, straight[0]) == []
    assert curves(again) == curves(straight[0])


class Count(Callback):
    """Named as a target below."""

    started: list[str] = []

    def on_fit_start(self, trainer, pl_module):
        self.started.append(type(trainer.logger).__name__)


def test_loggers_join_every_training_and_callbacks_those_with_teachers(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning.pytorch.callbacks.Timer", Count)
    monkeypatch.setattr(Count, "started", [])
    settings = (
        "trainer.max_epochs=1",
        "logger=csv",
        "+callbacks.count={_target_: lightning.pytorch.callbacks.Timer}",
    )
    train(tmp_path / "plain", *settings)
    assert Count.started == []
    train(tmp_path / "robust", *settings, with_teachers=True)
    assert Count.started == ["CSVLogger"]
    for name in ("plain", "robust"):
        (facts,) = (tmp_path / name / "run").rglob("hparams.yaml")
        assert sorted(facts.read_text().splitlines()) == ["seed: 0", "training: a training"]


@pytest.mark.parametrize(("value", "shown"), [(1.5, 1.5), (math.nan, None), (math.inf, None), (-math.inf, None)])
def test_what_json_does_not_know_is_nothing(value, shown):
    assert finite(value) == shown
