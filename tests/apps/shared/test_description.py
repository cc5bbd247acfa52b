from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_run import tiny_config, tiny_distill_study, tiny_study

from lt_callbacks.apps.shared.description import describe_training
from lt_callbacks.teachers.description import TrainingDescription


def described(folder, *overrides: str, **changes) -> TrainingDescription:
    study = tiny_study(folder, *overrides)
    return describe_training(study.config, study.datamodule, **{"group": "objective", "start_seed": 5, **changes})


def test_a_teacher_is_told_apart_by_how_many_ranks_trained_it(tmp_path):
    """The batch is that of each rank: two nodes of one device learn what one node with two does, one device does not."""

    def settings(*overrides):
        study = tiny_study(tmp_path, *overrides)
        return describe_training(study.config, study.datamodule, group="noise_teacher", start_seed=2)

    one = settings()
    assert one.num_ranks == 1
    assert settings("trainer.devices=2") == settings("trainer.num_nodes=2") != one
    assert settings("trainer.devices=auto").num_ranks == 1


def test_both_commands_describe_equal_trainings_alike(tmp_path):
    """With equal settings they train the same network, and may share it."""
    same = ("data.batch_size=32", "trainer.max_epochs=1", "noise=none", "objective=gce")
    train, distill = tiny_study(tmp_path, *same), tiny_distill_study(tmp_path, *same)
    settings = {"model": train.config.model, "optimisation": train.config.optimisation}
    first = describe_training(train.config, train.datamodule, group="objective", start_seed=3)
    second = describe_training(replace(distill.config, **settings), distill.datamodule, group="objective", start_seed=3)
    assert first.settings() == second.settings()


def test_what_is_not_said_is_the_target_models(tmp_path):
    plain = described(tmp_path)
    assert plain.max_epochs == 2
    changed = described(tmp_path, max_epochs=5, learning_rate=0.5)
    assert (changed.max_epochs, changed.optimisation["learning_rate"]) == (5, 0.5)
    assert {**changed.optimisation, "learning_rate": plain.optimisation["learning_rate"]} == plain.optimisation
    assert (plain.start_seed, plain.data_seed) == (5, 0)


@pytest.mark.parametrize(
    "change",
    ["model.width=8", "model.channels_last=true", "model=resnet20", "objective=gce", "+objective.settings.q=0.5",
     "optimisation.warmup=0.1", "optimisation.milestones=[0.2]", "data.batch_size=64", "data.augment=true",
     "data.sampling=class_balanced", "data.validation_fraction=0.2", "seed=1", "corruption_seed=1", "noise.ratio=0.1",
     "trainer.precision=bf16-mixed", "trainer.gradient_clip_val=1.0", "trainer.max_epochs=7", "trainer.devices=2"],
)  # fmt: skip
def test_what_changes_the_weights_changes_the_key(tmp_path, change):
    base = () if change != "+objective.settings.q=0.5" else ("objective=gce",)
    assert described(tmp_path, *base, change).key != described(tmp_path, *base).key


@pytest.mark.parametrize(
    "change",
    ["output=elsewhere", "store=elsewhere", "threads=2", "data.eval_batch_size=7", "data.num_workers=5", "setting=x",
     "data.residence=workers", "trainer.deterministic=false", "model.compile=true", "test_every_n_epochs=1",
     "dsink.alpha=3", "methods=[ce]", "num_seeds=4", "noise_teacher=gce", "save_networks=true", "model_row=ce"],
)  # fmt: skip
def test_where_and_how_fast_it_runs_does_not(tmp_path, change):
    assert described(tmp_path, change).key == described(tmp_path).key


def test_a_network_chosen_by_the_images_is_described_by_its_name(tmp_path):
    """Teachers that were stored when it was the default by name stay found."""
    study = tiny_study(tmp_path)
    left_open, by_name = (
        describe_training(config, study.datamodule, group="objective", start_seed=0)
        for config in (tiny_config(tmp_path), tiny_config(tmp_path, "model=small_cnn"))
    )
    assert left_open.model == "small_cnn"
    assert left_open.key == by_name.key
