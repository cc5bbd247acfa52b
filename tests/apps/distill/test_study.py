from __future__ import annotations

import io
import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from safetensors.numpy import load_file
from tiny_run import tiny_distill_study

from lt_callbacks.adsa import fit_tau
from lt_callbacks.apps.distill.rows import RECIPES, num_students
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.data import BatchView
from lt_callbacks.dataset_distillation import Student, StudentLoss, ViewLoader
from lt_callbacks.distilled_set import Views, ViewSettings
from lt_callbacks.evaluation import MethodResult
from lt_callbacks.methods import Optimisation
from lt_callbacks.models import build_model
from lt_callbacks.relabel.fit import FITTED_ON
from lt_callbacks.teachers.isolated_seed import isolated_seed

# Wrong labels make the counts of given labels others than those of true ones.
SETTINGS = (
    "networks=[small_cnn,resnet8_half]", "noise=symmetric", "noise.ratio=0.2", "distiller=edc_small_images",
    "distiller.settings.num_steps=2", "views.num_views=3", "adsa.num_fit_views=3",
)  # fmt: skip


def logged_study(folder, *overrides):
    """A study, and a function that gives what it said since the last time."""
    log = io.StringIO()
    study = tiny_distill_study(folder, *SETTINGS, *overrides, progress=RunProgress(total=99, stream=log))

    def lines():
        text = log.getvalue()
        log.truncate(0)
        log.seek(0)
        return [line.partition("] seed ")[2].partition(", ")[2] for line in text.splitlines() if line.startswith("[")]

    return study, lines


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All rows of one seed, and what was said meanwhile."""
    study, lines = logged_study(tmp_path_factory.mktemp("study"))
    cells = {method: study.run(method) for method in RECIPES}
    return study, cells, lines()


@pytest.fixture
def copied(finished, tmp_path):
    """A folder with the store of the finished study."""
    shutil.copytree(Path(finished[0].config.store), tmp_path / "store")
    return tmp_path


def numbers(cell):
    """All of a cell that must not depend on when and where it ran."""
    values = cell.to_dict()
    values.pop("seconds")
    values["extra"] = {name: value for name, value in values["extra"].items() if name != "stage_seconds"}
    return values


def test_every_row_is_scored_on_the_test_set(finished):
    study, cells, _ = finished
    test_size = len(study.source.test)
    for method, cell in cells.items():
        assert isinstance(cell, MethodResult)
        assert (cell.method, cell.seed, cell.setting) == (RECIPES[method].title, 0, "")
        assert len(cell.per_class) == 10
        # A share of this test set and of no other.
        assert cell.accuracy * test_size / 100 == pytest.approx(round(cell.accuracy * test_size / 100), abs=1e-3)
        json.dumps(cell.to_dict(), allow_nan=False)


def test_every_stage_is_worked_on_once_for_all_rows(finished):
    study, cells, lines = finished
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
        *(f"{RECIPES[m].title} (tau {cells[m].extra['tau']:.2f})" for m in ("adsa", "adsa_plain", "adsa_crops")),
        f"{RECIPES['adsa_mixed'].title} (tau {cells['adsa_mixed'].extra['tau']:.2f})",
        "oracle (tau 0.50)",
    ]
    assert len(students) == num_students(list(RECIPES), study.config)


def test_rows_differ_where_their_labels_do(finished):
    _, cells, _ = finished
    rows = ("networks", "hard", "soft", "tau_1", "adsa", "adsa_plain")
    assert len({cells[method].per_class for method in rows}) == len(rows)


# What the rows are, from the images and networks by hand.


def by_hand(study, images):
    """(B, C) float64 mean of the networks' logits, one network and one image after the other."""
    total = torch.zeros(len(images), 10, dtype=torch.float64)
    with torch.no_grad():
        for network in study.networks:
            for at, image in enumerate(images):
                total[at] += network(image[None])[0].double() / len(study.networks)
    return total


def prior_by_hand(study):
    """(C,) counts of the labels that the networks were trained with."""
    return np.bincount(study.datamodule.manifest.given_labels, minlength=10).astype(np.float64)


def shares_by_hand(predicted, label):
    """Percent right of each class; None without a sample."""
    return [
        100 * float((predicted[label == c] == c).double().mean()) if bool((label == c).any()) else None
        for c in range(10)
    ]


def test_the_networks_row_is_the_mean_of_their_logits(finished):
    study, cells, _ = finished
    images, label, _ = (torch.cat(parts) for parts in zip(*study.datamodule.test_dataloader(), strict=True))
    predicted = by_hand(study, images).argmax(dim=1)
    assert cells["networks"].per_class == pytest.approx(shares_by_hand(predicted, label), abs=1e-3)
    assert cells["networks"].accuracy == pytest.approx(100 * float((predicted == label).double().mean()), abs=1e-3)
    with torch.no_grad():
        for network in study.networks:
            alone = 100 * float((network(images).argmax(dim=1) == label).double().mean())
            assert abs(alone - cells["networks"].accuracy) > 0.1


def test_labels_are_the_mean_of_the_networks_logits(finished):
    study, _, _ = finished
    views, everything = Views(study.distilled, study.views), torch.arange(len(study.distilled))
    assert study.labels.calibration is None
    for view in range(3):
        expected = by_hand(study, views.images(everything, view))
        assert torch.allclose(study.labels.logits(everything, view).double(), expected, atol=5e-3)


def plain_observations(study):
    distilled = study.distilled
    mean, std = (torch.tensor(values)[:, None, None] for values in (distilled.mean, distilled.std))
    return by_hand(study, (distilled.images.float() / 255 - mean) / std), distilled.intended_class, None


def crop_observations(study):
    seen = Views(study.distilled, replace(study.views, mix="none"))
    everything = torch.arange(len(study.distilled))
    stacked = torch.stack([by_hand(study, seen.images(everything, view)) for view in range(3)])
    return stacked, study.distilled.intended_class, None


def mixed_observations(study, settings=None):
    seen = Views(study.distilled, settings or study.views)
    everything, intended = torch.arange(len(study.distilled)), study.distilled.intended_class
    logits, classes, weights = [], [], []
    for view in range(3):
        mixing = seen.mixing(everything, view)
        found = by_hand(study, seen.images(everything, view))
        logits += [found, found]
        classes += [intended, intended[mixing.partner]]
        weights += [mixing.share, 1 - mixing.share]
    return torch.cat(logits), torch.cat(classes), torch.cat(weights)


def strong_observations(study):
    strong = ViewSettings(
        seed=study.views.seed, flip=False, crop="resized", crop_area=(0.08, 1.0), mix="cutmix", mix_alpha=1.0,
        crop_padding=study.views.crop_padding,
    )  # fmt: skip
    return mixed_observations(study, strong)


OBSERVATIONS = {
    "plain": plain_observations,
    "crops": crop_observations,
    "mixed": mixed_observations,
    "strong": strong_observations,
}


@pytest.mark.parametrize("fit_on", FITTED_ON)
def test_tau_is_fitted_to_the_mean_of_the_networks_logits_of_the_images(finished, fit_on):
    study, cells, _ = finished
    logits, intended, weight = OBSERVATIONS[fit_on](study)
    expected = fit_tau(logits, intended, prior_by_hand(study), weight=weight)
    cell = cells[f"adsa_{fit_on}"]
    assert cell.extra["tau"] == pytest.approx(expected.tau, abs=1e-4)
    facts = cell.extra["fit"]
    assert (facts["fit_on"], facts["identified"], facts["reason"]) == (fit_on, expected.identified, expected.reason)
    assert facts["confidence_before"] == pytest.approx(expected.class_confidence_before.tolist(), abs=1e-4)
    assert facts["confidence_after"] == pytest.approx(expected.class_confidence.tolist(), abs=1e-4)
    assert facts["interval"] == pytest.approx(expected.interval, abs=1e-3)


def test_a_fit_says_what_other_views_would_have_given(finished):
    _, cells, _ = finished
    taus = {kind: cells[f"adsa_{kind}"].extra["tau"] for kind in FITTED_ON}
    assert len(set(taus.values())) == 4
    for method in ("adsa", *(f"adsa_{kind}" for kind in FITTED_ON)):
        assert cells[method].extra["fit"]["tau_by_views"] == taus
    assert cells["adsa"].extra["tau"] == taus["strong"]
    assert {**numbers(cells["adsa"]), "method": 0} == {**numbers(cells["adsa_strong"]), "method": 0}


def test_the_views_that_the_settings_name_are_those_of_the_adsa_row(finished, copied):
    _, cells, _ = finished
    study, _ = logged_study(copied, "adsa.fit_on=plain")
    assert study.tau_fit.tau == cells["adsa_plain"].extra["tau"]
    shrunk, _ = logged_study(copied, "adsa.fit_on=plain", "adsa.shrink_to=3")
    assert shrunk.tau_fit.unshrunk_tau == pytest.approx(study.tau_fit.tau)
    assert shrunk.tau_fit.tau > study.tau_fit.tau


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
        views=Views(study.distilled, study.views),
        classes=study.distilled.intended_class,
        labels=None if tau is None else study.labels,
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
    study, cells, _ = finished
    tau = cells[method].extra["tau"]
    assert tau == {"soft": 0.0, "tau_1": 1.0}.get(method, tau)
    expected = student_by_hand(study, loss=StudentLoss(kind="kl", temperature=1.0), tau=tau)
    # Labels that differ in their last bits may move a sample on the border.
    assert cells[method].per_class == pytest.approx(expected, abs=2.0)


def test_the_hard_row_learns_from_intended_classes(finished):
    study, cells, _ = finished
    assert cells["hard"].per_class == pytest.approx(student_by_hand(study, loss=StudentLoss(kind="hard")), abs=1e-3)
    assert cells["hard"].extra["tau"] is None


def test_the_hard_row_needs_no_soft_labels(finished, copied):
    _, cells, _ = finished
    for folder in (copied / "store" / "distilled").glob("*/soft_labels-*"):
        shutil.rmtree(folder)
    study, lines = logged_study(copied)
    assert numbers(study.run("hard")) == numbers(cells["hard"])
    assert not any(line.startswith("relabel") for line in lines())
    assert not list(copied.rglob("soft_labels*"))


def test_images_that_are_made_without_networks_train_none(tmp_path):
    log = io.StringIO()
    study = tiny_distill_study(tmp_path, progress=RunProgress(total=2, stream=log))
    study.run("hard")
    assert re.findall(r"\] seed 0, (.*): \d+ s\n", log.getvalue()) == ["recover (random_real)", "hard labels"]
    assert not (tmp_path / "store" / "teachers").exists()


def test_the_oracle_is_the_best_of_its_taus_on_the_test_set(finished):
    _, cells, _ = finished
    found = cells["oracle"].extra
    assert set(found["by_tau"]) == {"0.5", "1"}
    assert found["by_tau"]["1"] == cells["tau_1"].accuracy
    best = max(found["by_tau"], key=found["by_tau"].get)
    assert found["tau"] == float(best)
    assert cells["oracle"].accuracy == found["by_tau"][best] == max(found["by_tau"].values())


def test_the_order_of_rows_does_not_change_their_numbers(finished, copied):
    _, cells, _ = finished
    torch.manual_seed(12345)
    study, lines = logged_study(copied, "oracle_taus=[1.0,0.0,0.5]")
    state = torch.get_rng_state()
    oracle = study.run("oracle")
    assert oracle.extra["by_tau"]["0"] == cells["soft"].accuracy
    assert {tau: oracle.extra["by_tau"][tau] for tau in ("0.5", "1")} == cells["oracle"].extra["by_tau"]
    for method in ("adsa", "tau_1", "soft", "hard"):
        assert numbers(study.run(method)) == numbers(cells[method])
    assert torch.equal(torch.get_rng_state(), state)
    students = [line for line in lines() if not line.endswith("reused from the store")]
    # What the oracle trained is not trained again.
    assert [line.rpartition(": ")[0] for line in students] == [
        "oracle (tau 0.00)",
        "oracle (tau 0.50)",
        "oracle (tau 1.00)",
        f"ADSA (tau {cells['adsa'].extra['tau']:.2f})",
        "hard labels",
    ]


def test_another_loss_and_longer_training_give_other_students_of_the_same_images(finished, copied):
    _, cells, _ = finished
    study, lines = logged_study(copied, "student.loss=mse", "student.hard_weight=0.1", "student.num_passes=4")
    assert numbers(study.run("soft")) != numbers(cells["soft"])
    assert [line for line in lines() if not line.startswith("soft labels")] == [
        "squeeze (small_cnn): reused from the store",
        "squeeze (resnet8_half): reused from the store",
        "recover (edc): reused from the store",
        "relabel: reused from the store",
    ]


# What is reused.


def reused(lines):
    """Stage -> whether it came from the store."""
    stages = {}
    for line in lines:
        name, _, how = line.rpartition(": ")
        stages[name.partition(" ")[0]] = how == "reused from the store"
    return stages


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        # Networks, images, labels.
        ((), (True, True, True)),
        (("student.num_passes=4", "adsa.fit_on=plain", "oracle_taus=[7]", "score_on=removed", "model.width=8"), (True, True, True)),
        (("views.mix=none",), (True, True, False)),
        (("views.num_views=2",), (True, True, False)),
        (("distiller.images_per_class=1",), (True, False, False)),
        (("distiller.settings.num_steps=1",), (True, False, False)),
        (("distiller=herding",), (True, False, False)),
        # Another network is one more, and makes other images and labels.
        (("networks=[small_cnn]",), (True, False, False)),
        (("trainer.max_epochs=1",), (False, False, False)),
        (("imbalance.factor=40",), (False, False, False)),
        (("seed=1",), (False, False, False)),
    ],
)  # fmt: skip
def test_a_stage_is_reused_where_nothing_that_it_rests_on_has_changed(copied, overrides, expected):
    changed = {override.partition("=")[0] for override in overrides}
    settings = [each for each in SETTINGS if each.partition("=")[0] not in changed]
    if "distiller" in changed:
        settings.remove("distiller.settings.num_steps=2")
    log = io.StringIO()
    study = tiny_distill_study(copied, *settings, *overrides, progress=RunProgress(total=9, stream=log))
    assert study.labels.missing_views() == []
    lines = [line.partition(", ")[2] for line in log.getvalue().splitlines()]
    assert reused(lines) == dict(zip(("squeeze", "recover", "relabel"), expected, strict=True))


def test_other_networks_label_the_same_real_images(tmp_path):
    real = ("distiller=random_real", "networks=[small_cnn]", "trainer.max_epochs=1")
    log = io.StringIO()
    for change in ("optimisation.learning_rate=0.002", "optimisation.learning_rate=0.004"):
        tiny_distill_study(tmp_path, *real, change, progress=RunProgress(total=6, stream=log)).labels  # noqa: B018
    assert [line.partition(", ")[2].rpartition(": ")[0] for line in log.getvalue().splitlines()] == 2 * [
        "recover (random_real)", "squeeze (small_cnn)", "relabel"
    ]  # fmt: skip
    assert [line.endswith("reused from the store") for line in log.getvalue().splitlines()] == [
        False, False, False, True, False, False,
    ]  # fmt: skip
    (folder,) = (place for place in (tmp_path / "store" / "distilled").iterdir() if len(place.name) == 64)
    assert len(list(folder.glob("soft_labels-*"))) == 2


def test_the_store_says_nothing_about_the_machine(finished):
    study, _, _ = finished
    store = Path(study.config.store)
    files = [path for path in store.rglob("*") if path.is_file()]
    assert len(files) >= 9
    for path in files:
        assert str(store.parent).encode() not in path.read_bytes(), path


def test_the_distilled_set_says_what_it_was_made_from(finished):
    study, _, _ = finished
    provenance = study.distilled.provenance
    assert provenance["manifest_sha256"] == study.datamodule.manifest.sha256
    assert (provenance["method"], provenance["seed"], provenance["num_networks"]) == ("edc", 0, 2)
    assert provenance["settings"]["num_steps"] == 2
    assert study.distilled.class_counts.tolist() == [2] * 10


# A run that was killed, and files that are not whole.


def label_files(folder):
    (store,) = (folder / "store" / "distilled").glob("*/soft_labels-*")
    return store, sorted(store.glob("view-*.safetensors"))


def test_a_relabelling_that_was_killed_goes_on_where_it_was(finished, copied):
    original, _, _ = finished
    store, files = label_files(copied)
    kept = files[0].stat()
    # Views 1 and 2 are gone; of one there is the half that was on the disk.
    content = files[1].read_bytes()
    (store / f".{files[1].name}.0123abcd.tmp").write_bytes(content[: len(content) // 2])
    files[1].unlink()
    files[2].unlink()
    study, lines = logged_study(copied)
    everything = torch.arange(len(original.distilled))
    for view in range(3):
        assert torch.equal(study.labels.logits(everything, view), original.labels.logits(everything, view))
    assert reused(lines()) == {"squeeze": True, "recover": True, "relabel": False}
    # What was finished was not written again.
    assert (files[0].stat().st_ino, files[0].stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert load_file(files[1])["logits"].shape == (20, 10)


def test_a_set_that_was_killed_while_it_was_saved_is_made_again(finished, copied):
    original, _, _ = finished
    (facts,) = (copied / "store" / "distilled").glob("*/distilled.json")
    facts.unlink()
    study, lines = logged_study(copied)
    assert study.distilled == original.distilled
    assert reused(lines()) == {"squeeze": True, "recover": False}


def test_a_network_that_was_killed_while_it_was_saved_is_trained_again(finished, copied):
    original, _, _ = finished
    (copied / "store" / "teachers" / original.network_keys[1] / "teacher.json").unlink()
    study, lines = logged_study(copied)
    state = study.networks[1].state_dict()
    assert all(torch.equal(value, state[name]) for name, value in original.networks[1].state_dict().items())
    assert [line.endswith("reused from the store") for line in lines()] == [True, False]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("teachers/*/teacher.safetensors", r"^The stored teacher '.*' must be as it was written; .* truncated"),
        (
            "distilled/*/images.safetensors",
            r"^`folder` must hold a whole distilled set, .*images.safetensors' is trunc",
        ),
        (
            "distilled/*/distilled.json",
            r"^`folder` must hold a whole distilled set, .*distilled.json', which is damaged or tr",
        ),
        ("distilled/*/*/soft_labels.json", r"^`folder` must hold a whole soft-label store, .*soft_labels.json' is dam"),
        ("distilled/*/*/view-00001.safetensors", r"^`folder` must hold .*view-00001.safetensors', which is truncated"),
    ],
)
def test_a_truncated_file_of_the_store_is_refused_by_name(copied, pattern, message):
    for file in (copied / "store").glob(pattern):
        file.write_bytes(file.read_bytes()[:-9])
    study, _ = logged_study(copied)
    with pytest.raises(ValueError, match=message):
        study.run("soft")


# Seeds, seconds, images to score on.


def test_another_seed_is_another_experiment(finished, tmp_path):
    original, cells, _ = finished
    study, _ = logged_study(tmp_path, "seed=1", "networks=[small_cnn]")
    assert study.datamodule.manifest != original.datamodule.manifest
    assert study.views.seed == 1
    assert study.distilled != original.distilled
    assert study.run("hard").per_class != cells["hard"].per_class


def test_no_second_of_a_run_counts_twice(tmp_path):
    # Real images are drawn before there are networks to label them.
    study = tiny_distill_study(tmp_path)
    started = time.monotonic()
    study.labels  # noqa: B018
    elapsed = time.monotonic() - started
    assert list(study.seconds) == ["recover", "squeeze", "relabel"]
    assert 0 < study.seconds["squeeze"] < sum(study.seconds.values()) <= elapsed


def test_a_row_says_how_long_its_stages_took(finished):
    study, cells, _ = finished
    assert cells["adsa"].extra["stage_seconds"].keys() == {"squeeze", "recover", "relabel"}
    assert cells["networks"].seconds == study.seconds["squeeze"] > 0
    assert all(cell.seconds > 0 for cell in cells.values())
    assert cells["oracle"].seconds > cells["tau_1"].seconds


def removed_by_hand(study):
    """Normalised images and true labels of the training images that are not in the manifest."""
    train, kept = study.source.train, set(study.datamodule.manifest.indices.tolist())
    positions = torch.tensor([at for at in range(len(train)) if at not in kept])
    view = BatchView(mean=study.source.mean, std=study.source.std)
    return view(train.images[positions], positions, epoch=0), torch.tensor(train.labels)[positions]


def test_rows_can_be_scored_on_what_the_imbalance_removed(finished, copied):
    original, cells, _ = finished
    study, _ = logged_study(copied, "score_on=removed")
    images, label = removed_by_hand(study)
    with torch.no_grad():
        predicted = torch.stack([network(images) for network in original.networks]).mean(dim=0).argmax(dim=1)
    expected = shares_by_hand(predicted, label)
    assert expected.count(None) == 1
    found = study.run("networks")
    assert found.per_class == pytest.approx(expected, abs=1e-3)
    # The mean over classes: of the images that are left over, most are of the tail.
    assert found.accuracy == pytest.approx(np.mean([share for share in expected if share is not None]), abs=1e-3)
    assert found.accuracy != pytest.approx(100 * float((predicted == label).double().mean()), abs=0.5)
    # Students are the same, and so is tau; what they are scored on is not.
    adsa = study.run("adsa")
    assert adsa.extra["tau"] == cells["adsa"].extra["tau"]
    assert [share is None for share in adsa.per_class] == [share is None for share in expected]
    assert adsa.accuracy == pytest.approx(np.mean([share for share in adsa.per_class if share is not None]))
    oracle = study.run("oracle")
    assert oracle.accuracy == max(oracle.extra["by_tau"].values())


def test_the_prior_is_that_of_the_labels_that_were_given(finished):
    study, _, _ = finished
    assert study.class_prior.tolist() == prior_by_hand(study).tolist()
    assert study.class_prior.tolist() != list(study.datamodule.true_class_counts)
