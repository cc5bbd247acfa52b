from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import tiny_config

from lt_callbacks.apps.train.training import NUM_ROLES, Training, row_training, start_seed


def test_each_network_of_each_seed_starts_from_a_number_of_its_own():
    groups = ("objective", "imbalance_teacher", "noise_teacher")
    starts = [start_seed(seed, group) for seed in range(5) for group in groups]
    assert len(set(starts)) == len(starts)
    # Numbers of before: a new one would be another experiment.
    assert [start_seed(3, group) for group in groups] == [30, 31, 32]
    assert max(start_seed(3, group) for group in groups) < 4 * NUM_ROLES


def test_a_training_starts_where_its_group_and_seed_say(tmp_path):
    training = Training(
        name="x", group="noise_teacher", seed=7, method=None, max_epochs=1, learning_rate=None, folder=tmp_path
    )
    assert training.start_seed == 72


def row(config, **changes) -> Training:
    return row_training(config, **{"method": "dsink", "seed": 0, "manifest_sha256": "a" * 64, **changes})


def test_a_row_is_called_by_its_title_and_trains_on_the_base_loss(tmp_path):
    config = tiny_config(tmp_path)
    training = row(config, seed=4)
    assert training == Training(
        name="seed 4, D-SINK",
        group="objective",
        seed=4,
        method="dsink",
        max_epochs=2,
        learning_rate=None,
        folder=training.folder,
    )
    assert training.folder.parent == Path(config.output) / "unfinished"
    assert training.folder.name.startswith("dsink-seed4-")


@pytest.mark.parametrize(
    "change", ["dsink.alpha=3", "trainer.max_epochs=3", "data.batch_size=64", "teachers=cached", "noise_teacher=gce"]
)
def test_a_row_of_other_settings_has_another_folder(tmp_path, change):
    assert row(tiny_config(tmp_path, change)).folder != row(tiny_config(tmp_path)).folder


@pytest.mark.parametrize("changes", [{"method": "naive"}, {"seed": 1}, {"manifest_sha256": "b" * 64}])
def test_another_row_or_seed_or_other_labels_have_another_folder(tmp_path, changes):
    config = tiny_config(tmp_path)
    assert row(config, **changes).folder != row(config).folder


def test_what_surrounds_a_training_leaves_its_folder(tmp_path):
    config = tiny_config(tmp_path)
    others = {"methods": ["ce"], "num_seeds": 5, "threads": 7, "results": "x.json", "checkpoint_every_seconds": 1.0}
    assert row(replace(config, **others)).folder == row(config).folder


@pytest.mark.parametrize(
    "setting", ["noise.transition_file", "noise.given_labels_file", "imbalance_teacher.checkpoint"]
)
def test_files_count_by_their_content(tmp_path, setting):
    for name in ("first", "moved", "other"):
        (tmp_path / name).write_text("other" if name == "other" else "same")
    first, moved, other = (
        row(tiny_config(tmp_path, f"{setting}={tmp_path / name}")).folder for name in ("first", "moved", "other")
    )
    assert first == moved
    assert first != other


def test_of_a_manifest_the_labels_count_and_not_what_it_replaces(tmp_path):
    first = row(tiny_config(tmp_path, f"manifest={tmp_path / 'a.json'}"))
    assert row(tiny_config(tmp_path, f"manifest={tmp_path / 'b.json'}", "noise.ratio=0.1")).folder == first.folder
    assert (
        row(tiny_config(tmp_path, f"manifest={tmp_path / 'a.json'}"), manifest_sha256="b" * 64).folder != first.folder
    )
    assert row(tiny_config(tmp_path)).folder != first.folder
