"""Disks that refuse what a run writes: at its start, or when all is trained."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment, train_command
from disks import PLACES, disk, fill
from patience import PATIENCE
from tiny_run import SMALL_DISTILL, tiny_config, tiny_distill_config

from lt_callbacks._errors import StateError
from lt_callbacks.apps.distill import run as distill
from lt_callbacks.apps.distill.study import DistillStudy
from lt_callbacks.apps.train import run as train
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.evaluation import read_result
from lt_callbacks.teachers import TeacherStore

#: A network, its checkpoint and the pages are smaller.
MEGABYTES = 24

COMMANDS = {
    "lt-train": (train.run, lambda folder, *rest: tiny_config(folder, "methods=[ce]", *rest), SeedStudy, "CE"),
    "lt-distill": (
        distill.run,
        lambda folder, *rest: tiny_distill_config(folder, "methods=[hard]", *rest),
        DistillStudy,
        "hard labels",
    ),
}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def fills_up_after(monkeypatch, owner, method, place):
    """The disk at ``place`` is full from the end of a call of a method on."""
    real = getattr(owner, method)

    def then_full(*args, **settings):
        result = real(*args, **settings)
        fill(place)
        return result

    monkeypatch.setattr(owner, method, then_full)


@pytest.mark.parametrize("setting", ["results", "output"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_is_full_when_a_row_is_scored_costs_no_training(tmp_path, monkeypatch, capsys, name, setting):
    run, settings, study, row = COMMANDS[name]
    with disk(tmp_path / "disk", megabytes=MEGABYTES) as place:
        config = settings(tmp_path, f"{setting}={place / 'all.json' if setting == 'results' else place / 'run'}")
        with monkeypatch.context() as patched:
            fills_up_after(patched, study, "run", place)
            text = f"^The run ended because '.*', a file of `{setting}`, could not be written: No space left on device"
            with pytest.raises(StateError, match=text) as told:
                run(config)
        assert f"the same command with output={config.output} then goes on" in str(told.value)
        assert list((Path(config.output) / "unfinished").glob("*/trained.json"))
        (place / "filler").unlink()
        capsys.readouterr()
        run(config)
        assert f"{row}: trained before" in re.sub(r" \(tau .*\)", "", capsys.readouterr().err)
        assert not (Path(config.output) / "unfinished").exists()
        document = Path(config.results or Path(config.output) / "metrics.json")
        assert [result.method for result in read_result(document).results] == [row]
        assert {"report.md", "table.csv", "figures/per_class_accuracy.png"} <= names(Path(config.output))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_is_full_when_a_network_goes_to_the_store_costs_no_training(tmp_path, monkeypatch, capsys, name):
    run, settings, *_ = COMMANDS[name]
    row, trained = {
        "lt-train": ("methods=[noise_teacher]", "noise teacher (elr)"),
        "lt-distill": ("methods=[networks]", "squeeze (small_cnn)"),
    }[name]
    real = TeacherStore._publish
    with disk(tmp_path / "disk", megabytes=MEGABYTES) as place:
        config = settings(tmp_path, row, f"store={place / 'store'}", "trainer.max_epochs=1")

        def on_full_disk(*args):
            fill(place)
            return real(*args)

        with monkeypatch.context() as patched:
            patched.setattr(TeacherStore, "_publish", on_full_disk)
            with pytest.raises(
                StateError, match="^The run ended because '.*', a file of `store`, could not be written"
            ):
                run(config)
        (place / "filler").unlink()
        capsys.readouterr()
        run(config)
        assert f"{trained}: trained before" in capsys.readouterr().err
        assert not [path for path in place.rglob("*") if path.name in ("trained.json", "last.ckpt")]
        assert not list(place.rglob(".*.tmp"))


def test_a_disk_that_is_full_when_images_are_distilled_leaves_the_networks(tmp_path, monkeypatch, capsys):
    with disk(tmp_path / "disk", megabytes=MEGABYTES) as place:
        config = tiny_distill_config(
            tmp_path, "methods=[soft]", "distiller=edc_small_images", f"store={place / 'store'}"
        )
        real = DistilledSet.save

        def on_full_disk(*args):
            fill(place)
            return real(*args)

        with monkeypatch.context() as patched:
            patched.setattr(DistilledSet, "save", on_full_disk)
            with pytest.raises(
                StateError, match="^The run ended because '.*', a file of `store`, could not be written"
            ):
                distill.run(config)
        (place / "filler").unlink()
        capsys.readouterr()
        distill.run(config)
        assert "squeeze (small_cnn): reused from the store" in capsys.readouterr().err


# The whole matrix, with the commands as they are typed.

DISTILL = (sys.executable, "-m", "lt_callbacks.apps.distill.command")


def typed(name: str, folder: Path, *arguments: str) -> list[str]:
    if name == "lt-train":
        return train_command(folder, "methods=[ce,dsink]", *arguments)
    return [*DISTILL, f"hydra.run.dir={folder / 'hydra'}", *SMALL_DISTILL, "methods=[hard,soft]", *arguments]


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("setting", ["results", "output", "store"])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_matrix_of_disks(tmp_path, capsys, name, setting, kind):
    """30 cases: refused before anything is trained, in one sentence that begins with the setting."""
    places = {"output": tmp_path / "run", "store": tmp_path / "store", "results": tmp_path / "results.json"}
    make, text = PLACES[kind]
    with make(tmp_path / "place") as place:
        places[setting] = place / "a" / "b"
        command = typed(name, tmp_path, *(f"{key}={value}" for key, value in places.items()))
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    told = re.search(f"(?m)^`{setting}` {text}.*$", done.stderr)
    assert told, done.stderr
    assert "Traceback" not in done.stderr
    assert "[1/" not in done.stderr
    with capsys.disabled():
        print(f"\n| {name} | {setting} | {kind} | refused | {told[0]} |")


@pytest.mark.slow
@pytest.mark.ddp
@pytest.mark.parametrize("setting", ["results", "output", "store"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_disk_that_fills_up_while_a_command_runs(tmp_path, capsys, name, setting):
    """Whatever is written when, the command ends with one sentence, and the same one goes on and ends well."""
    with disk(tmp_path / "disk", megabytes=MEGABYTES) as place:
        places = {"output": tmp_path / "run", "store": tmp_path / "store", "results": tmp_path / "results.json"}
        places[setting] = place / "a" / "b"
        command = typed(name, tmp_path, *(f"{key}={value}" for key, value in places.items()), "num_seeds=2")
        process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            # Something is trained: the places were found good.
            if line.startswith("[1/") and not (place / "filler").exists():
                fill(place)
        process.communicate(timeout=PATIENCE)
        text = "".join(said)
        assert process.returncode == 1, text
        # In the middle of writing, or before the next network that would have to be kept.
        ended = (
            r"(?m)^(The run ended because '.*', a file of `\w+`, could not be written: No space|`store` must be on a)"
        )
        assert re.search(ended, text), text
        assert "Traceback" not in text
        trained = text.count("\n[")
        (place / "filler").unlink()
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        assert len(read_result(places["results"]).results) == 4
        assert not (places["output"] / "unfinished").exists()
        left = [path for each in places.values() if each.is_dir() for path in each.rglob(".*.tmp")]
        assert not left
    with capsys.disabled():
        print(f"\n| {name} | {setting} | fills up | ended after {trained} stages, resumed |")
