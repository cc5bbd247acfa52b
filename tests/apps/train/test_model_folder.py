from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_run import tiny_config, tiny_study, type_command, write_image_files

from lt_callbacks import load_model
from lt_callbacks.apps.train.checks import check_settings
from lt_callbacks.apps.train.model_folder import keep_model, model_row, settle_model
from lt_callbacks.apps.train.rows import RECIPES
from lt_callbacks.evaluation.records.json_result import read_result


def with_methods(folder, methods, row="null"):
    return tiny_config(folder, f"methods=[{methods}]", f"model_row={row}")


@pytest.mark.parametrize(
    ("methods", "row", "expected"),
    [
        ("ce,dsink,rows_only", "null", "dsink"),
        ("ce,noise_teacher,naive,imbalance_teacher", "null", "naive"),
        ("ce,noise_teacher,imbalance_teacher", "null", "ce"),
        ("noise_teacher,imbalance_teacher", "null", "imbalance_teacher"),
        ("noise_teacher_matched,dsink_matched", "null", None),
        ("ce,dsink", "ce", "ce"),
        ("ce,dsink", "none", None),
    ],
)
def test_the_row_is_chosen_by_the_settings_alone(tmp_path, methods, row, expected):
    config = with_methods(tmp_path, methods, row)
    check_settings(config)
    assert model_row(config) == expected


@pytest.mark.parametrize(
    ("methods", "row", "message"),
    [
        ("ce", "dsink", "`model_row` must be one of 'ce', 'none'; got 'dsink'"),
        ("ce,noise_teacher_matched", "noise_teacher_matched", "`model_row` must be one of 'ce', 'none'; got"),
    ],
)
def test_a_row_that_has_no_network_here_is_refused(tmp_path, methods, row, message):
    with pytest.raises(ValueError, match=message):
        check_settings(with_methods(tmp_path, methods, row))


def test_a_folder_of_that_name_that_is_something_else_is_refused_before_the_training(tmp_path):
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="`output` must be new, empty or hold a trained model; got .*model"):
        check_settings(tiny_config(tmp_path))
    check_settings(tiny_config(tmp_path, "model_row=none"))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return tiny_study(
        tmp_path_factory.mktemp("study"),
        "noise_teacher.max_epochs=1",
        "imbalance_teacher=ldam_drw",
    )


@pytest.mark.parametrize("method", ["ce", "imbalance_teacher", "noise_teacher", "dsink"])
def test_every_row_with_a_network_can_be_the_model(tmp_path, study, method):
    """Loaded, it has the accuracy that the table shows, and the logits of the network that was scored."""
    study.config = replace(study.config, output=str(tmp_path), methods=[method])
    result = study.run(method)
    keep_model(study, method, result)
    model = load_model(tmp_path / "model")
    assert (model.facts.method, model.facts.title, model.facts.seed) == (method, RECIPES[method].title, 0)
    assert model.facts.network == "small_cnn"
    assert model.facts.head == ("cosine" if method == "imbalance_teacher" else "linear")
    assert (model.facts.accuracy, model.facts.scored_on, model.facts.data) == (
        result.accuracy,
        "the test set",
        "digits",
    )
    assert model.class_names == tuple("0123456789")
    test = study.source.test
    images = torch.stack([model.preprocess(pixels) for pixels in test.images])
    batches = list(study.datamodule.test_dataloader())
    torch.testing.assert_close(images, torch.cat([batch[0] for batch in batches]), atol=1e-6, rtol=0)
    with torch.no_grad():
        logits = model(images)
        torch.testing.assert_close(logits, study.classifier.cpu().eval()(images), atol=1e-5, rtol=0)
    right = (logits.argmax(dim=1) == torch.tensor(test.labels)).double().mean()
    assert 100 * float(right) == pytest.approx(result.accuracy, abs=1e-3)


def test_another_row_or_seed_is_not_kept(tmp_path, study):
    study.config = replace(study.config, output=str(tmp_path), methods=["ce", "imbalance_teacher"], model_row="ce")
    keep_model(study, "imbalance_teacher", study.run("imbalance_teacher"))
    assert not (tmp_path / "model").exists()
    study.config = replace(study.config, seed=1)
    keep_model(study, "ce", study.run("ce"))
    assert not (tmp_path / "model").exists()
    study.config = replace(study.config, seed=0)


def test_a_model_is_found_by_seed_and_training(tmp_path):
    """One that other settings left in the folder is not this run's."""
    study = tiny_study(tmp_path, "methods=[ce]", "seed=2", "trainer.max_epochs=1")
    keep_model(study, "ce", study.run("ce"))
    study.datamodule.manifest.save(tmp_path / "run" / "manifest-seed2.json")
    document = tmp_path / "elsewhere" / "metrics.json"
    facts = load_model(tmp_path / "run" / "model").facts
    assert settle_model(study.config, document) == f"Model ({facts.summary()}): {tmp_path / 'run' / 'model'}"
    other = replace(study.config, trainer=replace(study.config.trainer, max_epochs=2))
    assert settle_model(other, document).startswith("No model here: another run, which finished its row (ce, seed 2)")


FILES = ("methods=[ce]", "data=image_folder", "data.image_size=8", "data.num_workers=0", "noise=none", "imbalance.factor=1",
         "data.validation_fraction=0.0", "callbacks=none")  # fmt: skip


@pytest.mark.parametrize(("crop_padding", "resize"), [("null", 256 / 224), ("2", 1.0)])
def test_a_run_on_files_leaves_a_model_that_prepares_them_as_it_did(
    tmp_path, monkeypatch, capsys, crop_padding, resize
):
    images = write_image_files(tmp_path / "images")
    arguments = (*FILES, f"data.root={images}", f"data.crop_padding={crop_padding}")
    assert type_command(monkeypatch, tmp_path, *arguments) == 0
    folder = tmp_path / "run" / "model"
    assert f"images, 2 classes, small_cnn): {folder}" in " ".join(capsys.readouterr().out.split())
    model = load_model(folder)
    assert (model.class_names, model.image_size, model.facts.resize) == (("cat", "dog"), (8, 8), resize)
    (result,) = read_result(tmp_path / "run" / "metrics.json").results
    files = [images / "test" / name / "0.png" for name in model.class_names]
    right = model.predict(files).argmax(dim=1) == torch.tensor([0, 1])
    assert 100 * float(right.double().mean()) == result.accuracy == model.facts.accuracy


def test_a_run_that_goes_on_has_the_model_of_the_row_that_was_finished(tmp_path, monkeypatch, capsys):
    """In its folder as it was, in another folder copied; where it is nowhere, the run says so."""
    base = ("methods=[ce]", "trainer.max_epochs=1")
    assert type_command(monkeypatch, tmp_path, *base) == 0
    first = Path(tmp_path / "run" / "model")
    weights = (first / "weights.safetensors").read_bytes()
    written = (first / "model.json").stat().st_mtime_ns
    assert type_command(monkeypatch, tmp_path, *base) == 0
    assert (first / "model.json").stat().st_mtime_ns == written
    assert f": {first}\n" in capsys.readouterr().out

    results = f"results={tmp_path / 'run' / 'metrics.json'}"
    assert type_command(monkeypatch, tmp_path / "second", *base, results) == 0
    assert (tmp_path / "second" / "run" / "model" / "weights.safetensors").read_bytes() == weights

    shutil.rmtree(first)
    assert type_command(monkeypatch, tmp_path / "third", *base, results) == 0
    assert "No model here: another run, which finished its row (ce, seed 0), has it." in capsys.readouterr().out
    assert not (tmp_path / "third" / "run" / "model").exists()


def test_a_row_counts_as_finished_only_once_its_model_is_there(tmp_path, monkeypatch):
    import lt_callbacks.apps.train.run as run_module

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "keep_model", killed)
        assert type_command(patched, tmp_path, "methods=[ce]", "trainer.max_epochs=1") == 130
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert type_command(monkeypatch, tmp_path, "methods=[ce]", "trainer.max_epochs=1") == 0
    assert load_model(tmp_path / "run" / "model").facts.method == "ce"
