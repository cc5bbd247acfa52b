from __future__ import annotations

import io
import json
import re
import shutil

import numpy as np
import pytest
import torch
from distill_small import by_hand, logged_study, numbers, prior_by_hand, shares_by_hand
from lightning.pytorch import Trainer
from tiny_run import tiny_distill_study

from lt_callbacks.apps.distill.rows import RECIPES, num_students
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.data import BatchView
from lt_callbacks.dataset_distillation import Student, StudentLoss, ViewLoader
from lt_callbacks.distilled_set import Views
from lt_callbacks.evaluation import MethodResult
from lt_callbacks.methods import Optimisation
from lt_callbacks.models import build_model
from lt_callbacks.relabel.fit import FITTED_ON
from lt_callbacks.teachers.isolated_seed import isolated_seed


def test_every_row_is_scored_on_the_test_set(finished):
    study, results, _ = finished
    test_size = len(study.source.test)
    for method, result in results.items():
        assert isinstance(result, MethodResult)
        assert (result.method, result.seed, result.setting) == (RECIPES[method].title, 0, "")
        assert len(result.per_class) == 10
        # A share of this test set and of no other.
        assert result.accuracy * test_size / 100 == pytest.approx(round(result.accuracy * test_size / 100), abs=1e-3)
        json.dumps(result.to_dict(), allow_nan=False)


def test_every_stage_is_worked_on_once_for_all_rows(finished):
    study, results, lines = finished
    stages = [line.rpartition(": ")[0] for line in lines]
    assert stages[:2] == ["squeeze (small_cnn)", "squeeze (resnet8_half)"]
    assert len(set(stages)) == len(stages)
    assert {"recover (edc)", "relabel"} <= set(stages)
    # The oracle's 1.0 was trained before, and `adsa` is fitted on strong views.
    students = stages[2:]
    students.remove("recover (edc)")
    students.remove("relabel")
    assert students == [
        "hard labels",
        "soft labels (tau 0.00)",
        "soft labels, tau = 1 (tau 1.00)",
        *(f"{RECIPES[m].title} (tau {results[m].extra['tau']:.2f})" for m in ("adsa", "adsa_plain", "adsa_crops")),
        f"{RECIPES['adsa_mixed'].title} (tau {results['adsa_mixed'].extra['tau']:.2f})",
        "oracle (tau 0.50)",
    ]
    assert len(students) == num_students(list(RECIPES), study.config)


def test_rows_differ_where_their_labels_do(finished):
    _, results, _ = finished
    rows = ("networks", "hard", "soft", "tau_1", "adsa", "adsa_plain")
    assert len({results[method].per_class for method in rows}) == len(rows)


# What the rows are, from the images and networks by hand.


def test_the_networks_row_is_the_mean_of_their_logits(finished):
    study, results, _ = finished
    images, label, _ = (torch.cat(parts) for parts in zip(*study.datamodule.test_dataloader(), strict=True))
    predicted = by_hand(study, images).argmax(dim=1)
    assert results["networks"].per_class == pytest.approx(shares_by_hand(predicted, label), abs=1e-3)
    assert results["networks"].accuracy == pytest.approx(100 * float((predicted == label).double().mean()), abs=1e-3)
    with torch.no_grad():
        for network in study.stages.networks:
            alone = 100 * float((network(images).argmax(dim=1) == label).double().mean())
            assert abs(alone - results["networks"].accuracy) > 0.1


def test_a_fit_says_what_other_views_would_have_given(finished):
    _, results, _ = finished
    taus = {kind: results[f"adsa_{kind}"].extra["tau"] for kind in FITTED_ON}
    assert len(set(taus.values())) == 4
    for method in ("adsa", *(f"adsa_{kind}" for kind in FITTED_ON)):
        assert results[method].extra["fit"]["tau_by_views"] == taus
    assert results["adsa"].extra["tau"] == taus["strong"]
    assert {**numbers(results["adsa"]), "method": 0} == {**numbers(results["adsa_strong"]), "method": 0}


class ByHand:
    """What is done to logits, in float64 numpy: z - tau * (log pi - mean log pi)."""

    def __init__(self, study, tau):
        log_prior = np.log(prior_by_hand(study))
        self.offset = tau * (log_prior - log_prior.mean())

    def __call__(self, logits):
        return torch.tensor(logits.numpy().astype(np.float64) - self.offset, dtype=torch.float32)


def student_by_hand(study, *, loss, tau=None):
    """Percent right of each class of a student trained without `DistillStudy`."""
    loader = ViewLoader(
        views=Views(study.stages.distilled, study.stages.views),
        classes=study.stages.distilled.intended_class,
        labels=None if tau is None else study.stages.labels,
        adjust=None if tau is None else ByHand(study, tau),
        batch_size=10,
        num_passes=12,
        passes_per_epoch=1,
        seed=study.seed,
    )
    with isolated_seed(study.seed * 32 + 31):
        student = Student(
            network=build_model("small_cnn", num_classes=10, in_channels=1),
            loss=loss,
            optimisation=Optimisation(optimizer="adamw", learning_rate=0.01, weight_decay=0.01, schedule="cosine"),
        )
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(accelerator="cpu", devices=1, max_epochs=12, enable_model_summary=False, **quiet)
        trainer.fit(student, train_dataloaders=loader)
    images, label, _ = (torch.cat(parts) for parts in zip(*study.datamodule.test_dataloader(), strict=True))
    with torch.no_grad():
        return shares_by_hand(student.eval()(images).argmax(dim=1), label)


@pytest.mark.parametrize("method", ["soft", "tau_1", "adsa", "adsa_crops"])
def test_a_student_learns_from_labels_less_tau_times_the_log_prior(finished, method):
    study, results, _ = finished
    tau = results[method].extra["tau"]
    assert tau == {"soft": 0.0, "tau_1": 1.0}.get(method, tau)
    expected = student_by_hand(study, loss=StudentLoss(kind="kl", temperature=1.0), tau=tau)
    # Labels that differ in their last bits may move a sample on the border.
    assert results[method].per_class == pytest.approx(expected, abs=2.0)


def test_the_hard_row_learns_from_intended_classes(finished):
    study, results, _ = finished
    assert results["hard"].per_class == pytest.approx(student_by_hand(study, loss=StudentLoss(kind="hard")), abs=1e-3)
    assert results["hard"].extra["tau"] is None


def test_the_hard_row_needs_no_soft_labels(finished, copied):
    _, results, _ = finished
    for folder in (copied / "store" / "distilled").glob("*/soft_labels-*"):
        shutil.rmtree(folder)
    study, lines = logged_study(copied)
    assert numbers(study.run("hard")) == numbers(results["hard"])
    assert not any(line.startswith("relabel") for line in lines())
    assert not list(copied.rglob("soft_labels*"))


def test_images_that_are_made_without_networks_train_none(tmp_path):
    log = io.StringIO()
    study = tiny_distill_study(tmp_path, progress=RunProgress(total=2, stream=log))
    study.run("hard")
    assert re.findall(r"\] seed 0, (.*): \d+ s\n", log.getvalue()) == ["recover (random_real)", "hard labels"]
    assert not (tmp_path / "store" / "teachers").exists()


def test_the_oracle_is_the_best_of_its_taus_on_the_test_set(finished):
    _, results, _ = finished
    found = results["oracle"].extra
    assert set(found["by_tau"]) == {"0.5", "1"}
    assert found["by_tau"]["1"] == results["tau_1"].accuracy
    best = max(found["by_tau"], key=found["by_tau"].get)
    assert found["tau"] == float(best)
    assert results["oracle"].accuracy == found["by_tau"][best] == max(found["by_tau"].values())


def test_the_order_of_rows_does_not_change_their_numbers(finished, copied):
    _, results, _ = finished
    torch.manual_seed(12345)
    study, lines = logged_study(copied, "oracle_taus=[1.0,0.0,0.5]")
    state = torch.get_rng_state()
    oracle = study.run("oracle")
    assert oracle.extra["by_tau"]["0"] == results["soft"].accuracy
    assert {tau: oracle.extra["by_tau"][tau] for tau in ("0.5", "1")} == results["oracle"].extra["by_tau"]
    for method in ("adsa", "tau_1", "soft", "hard"):
        assert numbers(study.run(method)) == numbers(results[method])
    assert torch.equal(torch.get_rng_state(), state)
    students = [line for line in lines() if not line.endswith("reused from the store")]
    # What the oracle trained is not trained again.
    assert [line.rpartition(": ")[0] for line in students] == [
        "oracle (tau 0.00)",
        "oracle (tau 0.50)",
        "oracle (tau 1.00)",
        f"ADSA (tau {results['adsa'].extra['tau']:.2f})",
        "hard labels",
    ]


def test_another_loss_and_longer_training_give_other_students_of_the_same_images(finished, copied):
    _, results, _ = finished
    study, lines = logged_study(copied, "student.loss=mse", "student.hard_weight=0.1", "student.num_passes=4")
    assert numbers(study.run("soft")) != numbers(results["soft"])
    assert [line for line in lines() if not line.startswith("soft labels")] == [
        "squeeze (small_cnn): reused from the store",
        "squeeze (resnet8_half): reused from the store",
        "recover (edc): reused from the store",
        "relabel: reused from the store",
    ]


# Seeds, seconds, images to score on.


def test_another_seed_is_another_experiment(finished, tmp_path):
    original, results, _ = finished
    study, _ = logged_study(tmp_path, "seed=1", "networks=[small_cnn]")
    assert study.datamodule.manifest != original.datamodule.manifest
    assert study.stages.views.seed == 1
    assert study.stages.distilled != original.stages.distilled
    assert study.run("hard").per_class != results["hard"].per_class


def test_a_row_says_how_long_its_stages_took(finished):
    study, results, _ = finished
    assert results["adsa"].extra["stage_seconds"].keys() == {"squeeze", "recover", "relabel"}
    assert results["networks"].seconds == study.stages.seconds["squeeze"] > 0
    assert all(result.seconds > 0 for result in results.values())
    assert results["oracle"].seconds > results["tau_1"].seconds


def removed_by_hand(study):
    """Normalised images and true labels of the training images that are not in the manifest."""
    train, kept = study.source.train, set(study.datamodule.manifest.indices.tolist())
    positions = torch.tensor([at for at in range(len(train)) if at not in kept])
    view = BatchView(mean=study.source.mean, std=study.source.std)
    return view(train.images[positions], positions, epoch=0), torch.tensor(train.labels)[positions]


def test_rows_can_be_scored_on_what_the_imbalance_removed(finished, copied):
    original, results, _ = finished
    study, _ = logged_study(copied, "score_on=removed")
    images, label = removed_by_hand(study)
    with torch.no_grad():
        predicted = torch.stack([network(images) for network in original.stages.networks]).mean(dim=0).argmax(dim=1)
    expected = shares_by_hand(predicted, label)
    assert expected.count(None) == 1
    found = study.run("networks")
    assert found.per_class == pytest.approx(expected, abs=1e-3)
    # The mean over classes: of the images that are left over, most are of the tail.
    assert found.accuracy == pytest.approx(np.mean([share for share in expected if share is not None]), abs=1e-3)
    assert found.accuracy != pytest.approx(100 * float((predicted == label).double().mean()), abs=0.5)
    # Students are the same, and so is tau; what they are scored on is not.
    adsa = study.run("adsa")
    assert adsa.extra["tau"] == results["adsa"].extra["tau"]
    assert [share is None for share in adsa.per_class] == [share is None for share in expected]
    assert adsa.accuracy == pytest.approx(np.mean([share for share in adsa.per_class if share is not None]))
    oracle = study.run("oracle")
    assert oracle.accuracy == max(oracle.extra["by_tau"].values())
