from __future__ import annotations

import io
import itertools
from pathlib import Path

import pytest
import torch
from tiny_run import tiny_study

from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.train.rows import RECIPES
from lt_callbacks.evaluation import MethodResult
from lt_callbacks.teachers import ModuleTeacher
from lt_callbacks.transport import sinkhorn


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """All rows of one seed, and what they left."""
    folder = tmp_path_factory.mktemp("study")
    log = io.StringIO()
    study = tiny_study(folder, "test_every_n_epochs=1", progress=RunProgress(total=10, stream=log))
    cells = {method: study.run(method) for method in RECIPES}
    return study, cells, log.getvalue()


def numbers(cell):
    """All of a cell that must not depend on when and where it ran."""
    values = cell.to_dict()
    values.pop("seconds")
    values["extra"] = {name: value for name, value in values["extra"].items() if name not in ("reused", "teachers")}
    return values


def test_every_row_is_scored_on_the_test_set(finished):
    study, cells, _ = finished
    for method, cell in cells.items():
        assert isinstance(cell, MethodResult)
        assert (cell.method, cell.seed, cell.setting) == (RECIPES[method].title, 0, "")
        assert len(cell.per_class) == 10
        test_size = len(study.source.test)
        # A share of this test set and of no other.
        assert cell.accuracy * test_size / 100 == pytest.approx(round(cell.accuracy * test_size / 100), abs=1e-3)


def test_teachers_are_trained_once_for_all_rows(finished):
    study, _, log = finished
    folder = Path(study.config.store).parent
    assert log.count("imbalance teacher (logit_adjustment)") == 1
    assert log.count("noise teacher (elr)") == 1
    # Eight students and two teachers; nothing is trained for the matched rows.
    assert log.splitlines()[-1].startswith("[10/10]")
    assert len(list((folder / "store").glob("*/teacher.json"))) == 2


def test_a_trained_row_has_curves_and_what_it_fitted(finished):
    _, cells, _ = finished
    for method in ("ce", "naive", "dsink"):
        curves = cells[method].extra["curves"]
        assert curves["epoch"] == [1, 2]
        assert len(curves["train_loss"]) == len(curves["val_accuracy"]) == len(curves["test_accuracy"]) == 2
        assert cells[method].best_accuracy == pytest.approx(max(curves["test_accuracy"]))
        assert cells[method].accuracy == pytest.approx(curves["test_accuracy"][-1], abs=1e-3)
        assert 0 <= cells[method].wrong_labels_fitted <= 100
        assert 0 <= cells[method].extra["val_accuracy"] <= 100


def test_rows_with_teachers_say_what_their_labels_were_like(finished):
    _, cells, _ = finished
    assert {"dsink/marginal_error", "dsink/entropy", "dsink/accuracy"} <= cells["dsink"].extra.keys()
    assert not any(name.startswith("dsink/") for name in cells["ce"].extra)
    # The transport is what makes the column sums right.
    assert cells["dsink"].extra["dsink/marginal_error"] < 1e-3 < cells["rows_only"].extra["dsink/marginal_error"]


def test_rows_differ_where_their_losses_do(finished):
    _, cells, _ = finished
    losses = {
        method: cells[method].extra["curves"]["train_loss"][-1] for method in RECIPES if RECIPES[method].is_trained
    }
    assert len(set(losses.values())) == len(losses)


def test_a_teachers_row_is_the_teacher_that_the_others_learn_from(finished):
    study, cells, _ = finished
    images, label, _ = (torch.cat(parts) for parts in zip(*study.datamodule.test_dataloader(), strict=True))
    for teacher, method in zip(study.teachers.live(), ("noise_teacher", "imbalance_teacher"), strict=True):
        accuracy = (teacher.log_probs(images).argmax(dim=1) == label).double().mean()
        assert cells[method].accuracy == pytest.approx(100 * float(accuracy), abs=1e-3)


@pytest.mark.parametrize(("method", "source"), [("noise_teacher_matched", "noise_teacher"), ("dsink_matched", "dsink")])
def test_a_matched_row_is_one_transport_of_the_test_predictions(finished, method, source):
    study, cells, _ = finished
    images, label, _ = (torch.cat(parts) for parts in zip(*study.datamodule.test_dataloader(), strict=True))
    noise, imbalance = study.teachers.live()
    scored = noise if source == "noise_teacher" else ModuleTeacher(study.student)
    marginal = imbalance.log_probs(images).double().exp().sum(dim=0)
    plan = sinkhorn(scored.log_probs(images).double(), marginal, tolerance=1e-9, max_iterations=5000).plan
    accuracy = 100 * float((plan.argmax(dim=1) == label).double().mean())
    # The row stops at the default tolerance, so a few samples on the border may differ.
    assert cells[method].accuracy == pytest.approx(accuracy, abs=1.0)
    assert cells[method].accuracy != cells[source].accuracy


def test_a_row_made_of_the_student_trains_it_where_nobody_has(finished, tmp_path):
    _, cells, _ = finished
    log = io.StringIO()
    study = tiny_study(tmp_path, "test_every_n_epochs=1", progress=RunProgress(total=3, stream=log))
    assert numbers(study.run("dsink_matched")) == numbers(cells["dsink_matched"])
    assert [line.partition(":")[0] for line in log.getvalue().splitlines()] == [
        "[1/3] seed 0, noise teacher (elr)",
        "[2/3] seed 0, imbalance teacher (logit_adjustment)",
        "[3/3] seed 0, D-SINK",
    ]


def test_the_student_of_the_dsink_row_is_kept_for_the_picture(finished):
    study, cells, _ = finished
    images, label, _ = (torch.cat(parts) for parts in zip(*study.datamodule.test_dataloader(), strict=True))
    with torch.no_grad():
        predicted = study.student.cpu().eval()(images).argmax(dim=1)
    assert cells["dsink"].accuracy == pytest.approx(100 * float((predicted == label).double().mean()), abs=1e-3)


def test_the_same_seed_gives_the_same_numbers_in_any_order(finished, tmp_path):
    _, cells, _ = finished
    # Neither what ran before, nor the global random state, nor a teacher from the store instead of a training matters.
    torch.manual_seed(12345)
    first = tiny_study(tmp_path, "test_every_n_epochs=1")
    assert numbers(first.run("dsink")) == numbers(cells["dsink"])
    # Trained again, not taken.
    first.finish("dsink")
    again = tiny_study(tmp_path, "test_every_n_epochs=1")
    assert numbers(again.run("dsink")) == numbers(cells["dsink"])
    assert numbers(again.run("ce")) == numbers(cells["ce"])


def test_another_seed_is_another_experiment(finished, tmp_path):
    study, cells, _ = finished
    other = tiny_study(tmp_path, "seed=1")
    assert other.datamodule.manifest != study.datamodule.manifest
    assert other.run("ce").per_class != cells["ce"].per_class


def test_training_leaves_the_global_random_state_alone(tmp_path):
    state = torch.get_rng_state()
    tiny_study(tmp_path).run("ce")
    assert torch.equal(torch.get_rng_state(), state)


def test_loggers_are_told_which_training_it_is(tmp_path):
    study = tiny_study(tmp_path, "logger=csv")
    study.run("noise_teacher")
    study.run("ce")
    facts = [path.read_text().splitlines() for path in sorted((tmp_path / "run").rglob("hparams.yaml"))]
    assert sorted(facts[0]) == ["seed: 0", "training: seed 0, noise teacher (elr)"]
    assert sorted(facts[1]) == ["seed: 0", "training: seed 0, CE"]
    assert len(list((tmp_path / "run").rglob("metrics.csv"))) == 2


def test_callbacks_join_the_trainings_with_teachers_and_no_other(tmp_path):
    stopper = "+callbacks.stop={_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/accuracy, mode: max, stopping_threshold: 0}"
    study = tiny_study(tmp_path, stopper)
    cells = {method: study.run(method) for method in ("ce", "naive", "dsink")}
    assert {method: cell.extra["curves"]["epoch"] for method, cell in cells.items()} == {
        "ce": [1, 2],
        "naive": [1],
        "dsink": [1],
    }


def weights(classifier):
    return torch.cat([value.flatten() for value in classifier.network.parameters()]).detach()


def test_each_network_of_a_seed_starts_from_weights_of_its_own(tmp_path):
    study = tiny_study(tmp_path, "optimisation.learning_rate=1e-30", "trainer.max_epochs=1")
    study.run("dsink")
    networks = [study.student, *(teacher.classifier for teacher in study.teachers.settled.values())]
    for first, second in itertools.combinations(networks, 2):
        assert not torch.allclose(weights(first), weights(second))


def test_a_row_whose_result_is_safe_leaves_no_checkpoint(tmp_path):
    study = tiny_study(tmp_path, "checkpoint_every_seconds=0")
    study.run("ce")
    left = tmp_path / "run" / "unfinished"
    # The network in the place of the checkpoint.
    (folder,) = left.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["trained.json", "trained.safetensors"]
    (left / "ce-seed0-of-other-settings").mkdir()
    (left / "ce-seed01-of-another-seed").mkdir()
    study.finish("ce")
    assert [path.name for path in left.iterdir()] == ["ce-seed01-of-another-seed"]
    (left / "ce-seed01-of-another-seed").rmdir()
    study.finish("ce")
    assert not left.exists()


def test_a_network_stays_for_the_rows_that_are_still_to_be_made_of_it(tmp_path):
    study = tiny_study(tmp_path, "trainer.max_epochs=1")
    study.run("dsink")
    study.finish("dsink", left=["ce", "dsink_matched"])
    log = io.StringIO()
    later = tiny_study(tmp_path, "trainer.max_epochs=1", progress=RunProgress(total=3, stream=log))
    later.run("dsink_matched")
    assert log.getvalue().splitlines()[-1] == "[3/3] seed 0, D-SINK: trained before"
    later.finish("dsink_matched")
    assert not (tmp_path / "run" / "unfinished").exists()


def test_a_row_whose_result_was_not_written_is_scored_without_being_trained_again(finished, tmp_path):
    _, cells, _ = finished
    settings = ("test_every_n_epochs=1",)
    tiny_study(tmp_path, *settings).run("dsink")
    log = io.StringIO()
    later = tiny_study(tmp_path, *settings, progress=RunProgress(total=3, stream=log))
    assert numbers(later.run("dsink")) == numbers(cells["dsink"])
    assert "D-SINK: trained before" in log.getvalue()
    # What is told of the training too, but for the teachers, which were trained before.
    told, whole = ({**cell.extra, "teachers": None} for cell in (later.run("dsink"), cells["dsink"]))
    assert told == whole


def test_a_run_that_begins_anew_trains_what_is_there(tmp_path):
    tiny_study(tmp_path, "trainer.max_epochs=1").run("ce")
    log = io.StringIO()
    tiny_study(tmp_path, "trainer.max_epochs=1", "ckpt_path=null", progress=RunProgress(total=1, stream=log)).run("ce")
    assert "trained before" not in log.getvalue()


def test_a_run_that_goes_on_in_another_folder_takes_the_network_from_beside_the_document(tmp_path):
    settings = ("trainer.max_epochs=1",)
    tiny_study(tmp_path, *settings).run("ce")
    log = io.StringIO()
    elsewhere = (f"output={tmp_path / 'later'}", f"results={tmp_path / 'run' / 'metrics.json'}")
    later = tiny_study(tmp_path, *settings, *elsewhere, progress=RunProgress(total=1, stream=log))
    later.run("ce")
    assert "trained before" in log.getvalue()
    later.finish("ce")
    assert not (tmp_path / "run" / "unfinished").exists()
