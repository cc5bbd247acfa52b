from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_run import tiny_distill_config, write_arrays

from lt_callbacks.apps.config.build import build_datamodule, build_source
from lt_callbacks.apps.config.distill_schemas import DistillConfig, DistillerConfig, StudentConfig
from lt_callbacks.apps.config.train_schemas import DataConfig
from lt_callbacks.apps.distill.build import build_student, chosen_distiller, student_loss, view_settings
from lt_callbacks.dataset_distillation import DISTILLERS, EDC, Herding, RandomReal, SRe2L
from lt_callbacks.distilled_set import ViewSettings


@pytest.fixture(scope="module")
def source():
    return build_source(DataConfig())


@pytest.mark.parametrize(
    ("name", "kind"), [("edc", EDC), ("sre2l", SRe2L), ("herding", Herding), ("random_real", RandomReal)]
)
def test_a_distiller_has_the_name_that_the_config_gives_it(name, kind):
    assert type(chosen_distiller(DistillerConfig(name=name))) is kind
    assert len(DISTILLERS) == 4


def test_what_the_settings_leave_out_keeps_its_default():
    found = chosen_distiller(DistillerConfig(name="edc", settings={"num_steps": 3, "crop_area": [0.5, 1.0]}))
    assert found == EDC(num_steps=3, crop_area=(0.5, 1.0))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("edcc", {}, r"`distiller\.name` must be one of .*; got 'edcc'\. Did you mean 'edc'\?"),
        (
            "sre2l",
            {"num_step": 3},
            r"`distiller\.settings` must be one of 'num_steps', .*; got 'num_step'\. Did you mean 'num_steps'\?",
        ),
        (
            "random_real",
            {"num_steps": 3},
            r"`distiller\.settings` must be empty for 'random_real', .*; got 'num_steps'",
        ),
        ("edc", {"num_steps": 0}, r"`distiller\.settings\.num_steps` must be an integer >= 1; got 0"),
        ("edc", {"num_steps": "many"}, r"`distiller\.settings\.num_steps` must be an integer"),
        ("edc", {"crop_area": [0.0, 1.0]}, r"`distiller\.settings\.crop_area` must"),
        ("edc", {"crop_area": 3}, r"`distiller\.settings\.crop_area` must"),
        ("edc", {"statistics_momentum": 1.0}, r"`distiller\.settings\.statistics_momentum` must"),
        ("edc", {"flip": "no"}, r"`distiller\.settings\.flip` must"),
        ("sre2l", {"jitter": -1}, r"`distiller\.settings\.jitter` must"),
        ("sre2l", {"learning_rate": 0.0}, r"`distiller\.settings\.learning_rate` must"),
        ("herding", {"batch_size": 0}, r"`distiller\.settings\.batch_size` must"),
    ],
)
def test_a_distiller_is_refused_by_the_names_of_its_settings(name, settings, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        chosen_distiller(DistillerConfig(name=name, settings=settings))


def test_views_are_those_of_the_settings(tmp_path, source):
    config = tiny_distill_config(tmp_path, "views.mix=mixup", "views.mix_alpha=0.5", "views.crop_padding=2")
    assert view_settings(config, source, seed=3) == ViewSettings(
        seed=3, crop="padded", crop_padding=2, mix="mixup", mix_alpha=0.5, flip=False
    )
    config = tiny_distill_config(tmp_path, "views=crops", "views.crop_area=[0.25,0.5]")
    assert view_settings(config, source, seed=0) == ViewSettings(
        seed=0, crop="resized", crop_area=(0.25, 0.5), mix="cutmix", flip=False
    )


@pytest.mark.parametrize("of_source", [True, False])
@pytest.mark.parametrize(("asked", "expected"), [("null", None), ("true", True), ("false", False)])
def test_views_are_mirrored_where_the_data_allow_it_or_the_settings_say_so(
    tmp_path, source, of_source, asked, expected
):
    config = tiny_distill_config(tmp_path, f"views.flip={asked}")
    found = view_settings(config, replace(source, flip=of_source), seed=0)
    assert found.flip is (of_source if expected is None else expected)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("views.crop=zoomed", r"`views\.crop` must be one of .*; got 'zoomed'"),
        ("views.crop_padding=-1", r"`views\.crop_padding` must"),
        ("views.crop_area=[0.5,2]", r"`views\.crop_area` must"),
        ("views.crop_area=[0.5]", r"`views\.crop_area` must"),
        ("views.mix=blend", r"`views\.mix` must be one of .*; got 'blend'"),
        ("views.mix_alpha=0", r"`views\.mix_alpha` must"),
    ],
)
def test_views_are_refused_by_the_names_of_their_settings(tmp_path, source, override, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        view_settings(tiny_distill_config(tmp_path, override), source, seed=0)


def test_a_row_without_soft_labels_has_a_loss_without_them():
    config = DistillConfig(student=StudentConfig(loss="mse", temperature=3.0, hard_weight=0.5))
    soft, hard = (student_loss(config, is_hard=is_hard) for is_hard in (False, True))
    assert (soft.kind, soft.temperature, soft.hard_weight, soft.needs_soft_labels) == ("mse", 3.0, 0.5, True)
    assert (hard.kind, hard.needs_soft_labels) == ("hard", False)


def made_student(config, source):
    return build_student(config, build_datamodule(config, source, seed=0), loss=student_loss(config, is_hard=False))


def test_a_student_is_what_the_settings_say(tmp_path, source):
    config = tiny_distill_config(
        tmp_path,
        "model=resnet20", "model.width=8", "networks=[small_cnn]", "model.channels_last=true",
        "student.optimizer=sgd", "student.learning_rate=0.3", "student.weight_decay=0.02", "student.schedule=constant",
        "student.ema_decay=0.9", "student.loss=mse",
        # Of the networks.
        "optimisation.learning_rate=7",
    )  # fmt: skip
    student = made_student(config, source)
    assert type(student.network).__name__ == "CifarResNet"
    assert next(student.network.parameters()).shape[:2] == (8, 1)
    assert student.network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert student.memory_format == torch.channels_last
    assert (student.ema_decay, student.loss.kind) == (0.9, "mse")
    chosen = student.optimisation
    assert (chosen.optimizer, chosen.learning_rate, chosen.weight_decay, chosen.schedule) == (
        "sgd", 0.3, 0.02, "constant",
    )  # fmt: skip


def test_a_student_has_the_channels_and_classes_of_the_data(tmp_path):
    config = tiny_distill_config(
        tmp_path,
        "data=arrays",
        "imbalance=exponential",
        f"data.path={write_arrays(tmp_path / 'a.npz')}",
        "imbalance.factor=2",
    )
    student = made_student(config, build_source(config.data))
    assert student.network(torch.zeros(2, 3, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("student.loss=kll", r"`student\.loss` must be one of .*; got 'kll'"),
        ("student.temperature=0", r"`student\.temperature` must"),
        ("student.hard_weight=-1", r"`student\.hard_weight` must"),
        ("student.ema_decay=1", r"`student\.ema_decay` must"),
        ("student.optimizer=adma", r"`student\.optimizer` must"),
        ("student.learning_rate=-1", r"`student\.learning_rate` must"),
        ("student.weight_decay=-1", r"`student\.weight_decay` must"),
        ("student.schedule=cosin", r"`student\.schedule` must"),
        ("model.width=0", r"`model\.width` must"),
        ("model.name=resnet", r"`model\.name` must"),
    ],
)
def test_a_student_is_refused_by_the_names_of_its_settings(tmp_path, source, override, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        made_student(tiny_distill_config(tmp_path, override), source)
