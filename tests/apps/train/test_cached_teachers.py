from __future__ import annotations

import io

import pytest
import torch
from tiny_run import tiny_study

from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.train.runners import training_facts
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.teachers import CachedTeacher, ModuleTeacher

SHORT = ("trainer.max_epochs=1", "data.augment=true")
CACHED = ("teachers=cached", *SHORT)


def study(folder, *overrides, log=None) -> SeedStudy:
    return tiny_study(folder, *overrides, progress=RunProgress(total=4, stream=log or io.StringIO()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With the teachers of seed 0, trained for one epoch."""
    folder = tmp_path_factory.mktemp("cached")
    study(folder, *CACHED).teachers.live()
    return folder


def test_a_step_asks_the_teachers_that_the_settings_name(folder):
    assert [type(each) for each in study(folder, *SHORT).teachers.of_steps()] == [ModuleTeacher] * 2
    cached = study(folder, *CACHED)
    noise, imbalance = cached.teachers.of_steps()
    for teacher, live in zip((noise, imbalance), cached.teachers.live(), strict=True):
        assert isinstance(teacher, CachedTeacher)
        images, _, index = next(iter(cached.datamodule.predict_dataloader()))
        torch.testing.assert_close(teacher.log_probs(images, index), live.log_probs(images))
    assert noise.sha256() != imbalance.sha256()
    assert cached.teachers.of_steps()[0] is noise, "made once"


def test_views_are_those_asked_for(folder):
    plain, views = (study(folder, *CACHED, f"cached_views={n}").teachers.of_steps()[0].table() for n in (0, 2))
    rows = ~plain.isnan().all(1)
    assert torch.equal(rows, ~views.isnan().all(1))
    assert (plain - views)[rows].abs().max() > 1e-3


def test_predictions_are_kept_beside_the_teachers_and_the_run_says_that_it_makes_them(folder):
    log = io.StringIO()
    first = study(folder, *CACHED, "trainer.precision=bf16-mixed", log=log)
    # A precision of its own has teachers of its own.
    first.teachers.of_steps()
    said = [line for line in log.getvalue().splitlines() if "predictions" in line]
    assert [line.partition(":")[0] for line in said] == [
        "  seed 0, predictions of the noise teacher",
        "  seed 0, predictions of the imbalance teacher",
    ]
    again = io.StringIO()
    second = study(folder, *CACHED, "trainer.precision=bf16-mixed", log=again)
    pairs = zip(second.teachers.of_steps(), first.teachers.of_steps(), strict=True)
    assert [a.sha256() == b.sha256() for a, b in pairs] == [True, True]
    assert [line for line in again.getvalue().splitlines() if "predictions" in line] == [
        f"  seed 0, predictions of the {role} teacher: reused from the store" for role in ("noise", "imbalance")
    ]
    facts = training_facts(second.datamodule, second.teachers.dsink("dsink"))
    assert facts["noise_teacher"] == second.teachers.of_steps()[0].sha256()


@pytest.mark.parametrize("sampling", ["shuffled", "class_balanced"])
def test_rows_with_teachers_train_on_them(folder, sampling):
    cached = study(folder, *CACHED, f"data.sampling={sampling}", "cached_views=2")
    live = study(folder, *SHORT, f"data.sampling={sampling}")
    for method in ("naive", "dsink"):
        losses = [each.run(method).extra["curves"]["train_loss"][0] for each in (cached, live)]
        # Of other views, but of the same teachers.
        assert losses[0] != losses[1]
        assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_the_defaults_are_live():
    assert (TrainConfig().teachers, TrainConfig().cached_views) == ("live", 0)
