from __future__ import annotations

import io
import json

import pytest
import torch
from tiny_run import tiny_study

from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.apps.train.teachers import SettledTeacher
from lt_callbacks.plugins import DSink
from lt_callbacks.teachers import TeacherStore


def noise_teacher(study: SeedStudy) -> SettledTeacher:
    return study.teachers.settle(["noise"])["noise"]


def weights(teacher: SettledTeacher) -> torch.Tensor:
    return torch.cat([value.flatten() for value in teacher.classifier.network.parameters()]).detach()


def test_stored_teachers_are_reused_and_say_so(tmp_path):
    first = tiny_study(tmp_path)
    assert first.run("noise_teacher").extra["reused"] is False
    log = io.StringIO()
    second = tiny_study(tmp_path, progress=RunProgress(total=2, stream=log))
    assert second.run("noise_teacher").extra["reused"] is True
    assert log.getvalue() == "[1/2] seed 0, noise teacher (elr): reused from the store\n"
    weights = [noise_teacher(study).classifier.network.state_dict() for study in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    "change",
    ["noise.ratio=0.2", "seed=1", "noise_teacher.max_epochs=1", "noise_teacher.learning_rate=0.1", "model.width=8",
     "optimisation.weight_decay=0.1", "noise_teacher=gce", "data.batch_size=64", "data.augment=true",
     "data.sampling=class_balanced", "model.channels_last=true", "trainer.gradient_clip_val=0.1"],
)  # fmt: skip
def test_a_teacher_of_other_settings_is_another_one(tmp_path, change):
    tiny_study(tmp_path).run("noise_teacher")
    assert tiny_study(tmp_path, change).run("noise_teacher").extra["reused"] is False


def test_what_does_not_concern_a_teacher_does_not_retrain_it(tmp_path):
    tiny_study(tmp_path).run("noise_teacher")
    others = (
        "dsink.alpha=3",
        "imbalance_teacher=ldam_drw",
        "objective=gce",
        "data.eval_batch_size=50",
        "threads=2",
        "trainer.deterministic=false",
    )
    assert tiny_study(tmp_path, *others).run("noise_teacher").extra["reused"] is True


def test_the_stored_settings_are_those_of_the_teacher(tmp_path):
    study = tiny_study(tmp_path, "noise_teacher.max_epochs=1", "noise_teacher.learning_rate=0.01", "seed=3")
    study.run("noise_teacher")
    (found,) = (tmp_path / "store").glob("*/teacher.json")
    facts = json.loads(found.read_text())
    assert found.parent.name == TeacherStore.key(facts["settings"], study.datamodule.fingerprint)
    assert facts["settings"]["max_epochs"] == 1
    assert facts["settings"]["optimisation"]["learning_rate"] == 0.01
    assert (facts["settings"]["objective"], facts["settings"]["objective_settings"]) == ("elr", {})
    assert (facts["settings"]["data_seed"], facts["settings"]["start_seed"]) == (3, 32)


def test_a_teacher_from_a_checkpoint_is_not_trained(tmp_path):
    trained = noise_teacher(tiny_study(tmp_path)).classifier
    torch.save(trained.network.state_dict(), tmp_path / "teacher.ckpt")
    log = io.StringIO()
    study = tiny_study(
        tmp_path,
        "noise_teacher=checkpoint",
        f"noise_teacher.checkpoint={tmp_path / 'teacher.ckpt'}",
        progress=RunProgress(total=1, stream=log),
    )
    teacher = noise_teacher(study)
    assert (teacher.seconds, teacher.is_reused) == (0.0, True)
    assert (
        log.getvalue()
        == f"[1/1] seed 0, noise teacher (cross_entropy): from its checkpoint {tmp_path / 'teacher.ckpt'}\n"
    )
    state = teacher.classifier.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in trained.network.state_dict().items())


def test_a_teacher_is_trained_as_long_and_as_fast_as_it_says(tmp_path):
    own = tiny_study(tmp_path / "own", "noise_teacher.max_epochs=1", "noise_teacher.learning_rate=0.01")
    same = tiny_study(tmp_path / "same", "trainer.max_epochs=1", "optimisation.learning_rate=0.01")
    longer = tiny_study(tmp_path / "longer", "noise_teacher.learning_rate=0.01")
    slower = tiny_study(tmp_path / "slower", "noise_teacher.max_epochs=1")
    found, expected, *others = (weights(noise_teacher(study)) for study in (own, same, longer, slower))
    assert torch.equal(found, expected)
    assert not any(torch.equal(found, other) for other in others)


def test_teachers_are_settled_once_noise_before_imbalance(tmp_path):
    log = io.StringIO()
    study = tiny_study(tmp_path, "trainer.max_epochs=1", progress=RunProgress(total=2, stream=log))
    assert study.teachers.settle(()) == {}
    found = study.teachers.settle(("imbalance", "noise"))
    assert list(found) == list(study.teachers.settled) == ["noise", "imbalance"]
    assert study.teachers.settle(["noise"])["noise"] is found["noise"]
    assert [line.partition(":")[0] for line in log.getvalue().splitlines()] == [
        "[1/2] seed 0, noise teacher (elr)",
        "[2/2] seed 0, imbalance teacher (logit_adjustment)",
    ]
    assert all(teacher.seconds > 0 and not teacher.is_reused for teacher in found.values())


def test_a_row_adds_what_its_recipe_makes_of_both_teachers(tmp_path):
    teachers = tiny_study(tmp_path, "trainer.max_epochs=1").teachers
    assert teachers.dsink(None) is teachers.dsink("ce") is None
    assert teachers.settled == {}, "nobody needs them yet"
    dsink = teachers.dsink("no_noise_teacher")
    assert isinstance(dsink, DSink)
    assert dsink.labeler.student_weight == 1.0
    noise, imbalance = teachers.live()
    assert dsink.noise_teacher.sha256() == noise.sha256()
    assert dsink.imbalance_teacher.sha256() == imbalance.sha256() != noise.sha256()


def test_a_teacher_of_a_lower_precision_is_the_same_trained_or_stored(tmp_path):
    first, again = (
        noise_teacher(tiny_study(tmp_path, "trainer.precision=bf16-true", "trainer.max_epochs=1")) for _ in range(2)
    )
    assert (first.is_reused, again.is_reused) == (False, True)
    assert weights(first).dtype == torch.float32
    assert torch.equal(weights(first), weights(again))
