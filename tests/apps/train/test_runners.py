from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from disks import full
from lightning.pytorch import Callback
from tiny_run import tiny_study

from lt_callbacks.apps.config.build import build_classifier
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.train import runners
from lt_callbacks.apps.train.runners import InPhases, InProcess, train_fresh, training_facts
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.apps.train.training import Trained, row_training
from lt_callbacks.plugins import DSink
from lt_callbacks.teachers.isolated_seed import isolated_seed


class Noted:
    """In the place of a runner: what it was given, and a number from the generators."""

    def train(self, training, classifier, datamodule, *, dsink) -> Trained:
        self.training, self.classifier, self.dsink = training, classifier, dsink
        self.drawn = torch.rand(())
        return Trained(seconds=1.0, observed={}, curves={})


def training_of(study: SeedStudy, method: str = "ce"):
    return row_training(study.config, method, seed=study.seed, manifest_sha256=study.datamodule.manifest.sha256)


def dsink_of(study: SeedStudy) -> DSink:
    noise, imbalance = (build_classifier(study.config, study.datamodule, group="objective").network for _ in range(2))
    return DSink(noise_teacher=noise, imbalance_teacher=imbalance, alpha=1.0)


def test_a_fresh_network_and_its_training_draw_from_the_seed_of_their_role(tmp_path):
    study, runner = tiny_study(tmp_path, "seed=3"), Noted()
    state = torch.get_rng_state()
    training = training_of(study)
    classifier, trained = train_fresh(study.config, training, study.datamodule, dsink=None, runner=runner)
    assert torch.equal(torch.get_rng_state(), state)
    assert (runner.training, runner.classifier, runner.dsink) == (training, classifier, None)
    assert trained.seconds == 1.0
    with isolated_seed(30):
        expected = build_classifier(study.config, study.datamodule, group="objective")
        assert torch.equal(torch.rand(()), runner.drawn), "the training goes on where the first weights were drawn"
    pairs = zip(classifier.network.parameters(), expected.network.parameters(), strict=True)
    assert all(torch.equal(first, second) for first, second in pairs)


def test_facts_are_those_of_the_data_and_of_both_teachers(tmp_path):
    study = tiny_study(tmp_path)
    data = {"manifest": study.datamodule.manifest.sha256, "data": study.datamodule.fingerprint}
    assert training_facts(study.datamodule, None) == data
    dsink = dsink_of(study)
    assert training_facts(study.datamodule, dsink) == {
        **data,
        "noise_teacher": dsink.noise_teacher.sha256(),
        "imbalance_teacher": dsink.imbalance_teacher.sha256(),
    }


def test_in_this_process_a_training_is_fitted_and_shown(tmp_path, monkeypatch):
    study, log, given = tiny_study(tmp_path), io.StringIO(), {}

    def fit(config, training, classifier, datamodule, **settings):
        given.update(settings, config=config, training=training, datamodule=datamodule)
        return Trained(seconds=2.0, observed={}, curves={})

    monkeypatch.setattr(runners, "fit", fit)
    preemption, dsink, training = Preemption(), dsink_of(study), training_of(study, "dsink")
    progress = RunProgress(total=1, stream=log)
    runner = InProcess(study.config, progress, preemption)
    classifier = build_classifier(study.config, study.datamodule, group="objective")
    assert runner.train(training, classifier, study.datamodule, dsink=dsink).seconds == 2.0
    assert isinstance(given.pop("progress"), Callback)
    assert given.pop("say") == progress.say
    assert given == {
        "config": study.config,
        "training": training,
        "datamodule": study.datamodule,
        "dsink": dsink,
        "preemption": preemption,
    }
    assert log.getvalue().startswith("[1/1] seed 0, D-SINK: ")


@pytest.mark.parametrize("with_teachers", [False, True])
def test_ranks_are_told_the_training_and_its_facts_and_fill_the_network(tmp_path, with_teachers):
    study, seen = tiny_study(tmp_path), []

    def train(phase, network):
        seen.append((phase, network))
        return Trained(seconds=3.0, observed={}, curves={})

    dsink, training = dsink_of(study) if with_teachers else None, training_of(study)
    classifier = build_classifier(study.config, study.datamodule, group="objective")
    runner = InPhases(study.config, SimpleNamespace(train=train, progress=RunProgress(total=1)))
    assert runner.train(training, classifier, study.datamodule, dsink=dsink).seconds == 3.0
    ((phase, network),) = seen
    assert network is classifier.network
    assert (phase.config, phase.training) == (study.config, training)
    assert phase.facts == training_facts(study.datamodule, dsink)


def test_what_was_trained_and_not_kept_elsewhere_is_taken_wherever_it_ran(tmp_path, monkeypatch):
    study, log = tiny_study(tmp_path), io.StringIO()
    training, progress = training_of(study), RunProgress(total=2, stream=log)
    trained = Trained(seconds=2.0, observed={"dsink/sweeps": None}, curves={"epoch": [1.0]})
    monkeypatch.setattr(runners, "fit", lambda *args, **settings: trained)
    first, *others = (build_classifier(study.config, study.datamodule, group="objective") for _ in range(3))
    in_process = InProcess(study.config, progress, Preemption())
    in_process.train(training, first, study.datamodule, dsink=None)

    monkeypatch.setattr(runners, "fit", lambda *args, **settings: pytest.fail("trained again"))
    in_phases = InPhases(study.config, SimpleNamespace(train=runners.fit, progress=progress))
    for runner, classifier in zip((in_process, in_phases), others, strict=True):
        assert runner.train(training, classifier, study.datamodule, dsink=None) == trained
        pairs = zip(first.network.parameters(), classifier.network.parameters(), strict=True)
        assert all(torch.equal(one, two) for one, two in pairs)
    assert log.getvalue().count("trained before") == 2


def test_a_network_for_which_there_is_no_room_is_scored_all_the_same(tmp_path, monkeypatch):
    study, log = tiny_study(tmp_path), io.StringIO()
    monkeypatch.setattr(runners, "fit", lambda *args, **settings: Trained(seconds=2.0, observed={}, curves={}))
    classifier = build_classifier(study.config, study.datamodule, group="objective")
    runner = InProcess(study.config, RunProgress(total=1, stream=log), Preemption())
    with full(tmp_path / "disk") as place:
        training = replace(training_of(study), folder=place / "unfinished")
        assert runner.train(training, classifier, study.datamodule, dsink=None).seconds == 2.0
    assert log.getvalue().endswith(
        "  seed 0, CE: the network could not be kept until its result is: No space left on device.\n"
    )
