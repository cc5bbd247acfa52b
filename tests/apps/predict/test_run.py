from __future__ import annotations

import csv

import pytest
import torch
from PIL import Image
from small_models import facts_of, network_of, saved, write_picture

from lt_callbacks import load_model
from lt_callbacks.apps.predict.run import run
from lt_callbacks.trained_model import save_model


@pytest.fixture
def folder(tmp_path):
    return saved(tmp_path / "model")[0]


def test_every_picture_has_the_class_that_the_model_gives_it(tmp_path, folder, capsys):
    files = [write_picture(tmp_path / "pictures" / f"{n}.png", size=(30, 40 + n), seed=n) for n in range(5)]
    output = tmp_path / "out.csv"
    assert run(folder, tmp_path / "pictures", output=output, batch_size=2, num_workers=0, has_all=True) == 0
    model = load_model(folder)
    expected = model.predict(files)
    with output.open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["path"] for line in lines] == [str(file) for file in files]
    for line, probs in zip(lines, expected, strict=True):
        assert line["class"] == model.class_names[int(probs.argmax())]
        assert float(line["probability"]) == pytest.approx(float(probs.max()), abs=1e-6)
        shown = torch.tensor([float(line[f"probability of {name}"]) for name in model.class_names])
        torch.testing.assert_close(shown, probs, atol=1e-6, rtol=0)
    assert capsys.readouterr().out.startswith("5 pictures: ")


@pytest.mark.parametrize(("num_classes", "more"), [(5, ""), (7, " and 2 more classes")])
def test_five_classes_are_counted_and_the_others_told(tmp_path, folder, capsys, num_classes, more):
    files = [write_picture(tmp_path / "pictures" / f"{n}.png", seed=n) for n in range(num_classes)]
    facts = facts_of(class_names=tuple("abcdefg"[:num_classes]))
    network = network_of(facts).eval()
    prepare = load_model(folder).preprocess
    with torch.no_grad():
        # The class of a picture is the one whose features are nearest: each has its own.
        features = network.features(torch.stack([prepare(Image.open(file)) for file in files]))
        network.head.weight.copy_(features)
        network.head.bias.copy_(-features.square().sum(dim=1) / 2)
    model = save_model(tmp_path / "other", network, facts=facts)
    assert run(model, tmp_path / "pictures", output=tmp_path / "out.csv", num_workers=0) == 0
    counted, _, _ = capsys.readouterr().out.partition(". Predictions: ")
    assert counted == f"{num_classes} pictures: 1 a, 1 b, 1 c, 1 d, 1 e{more}"


def test_an_unreadable_picture_is_named_and_keeps_its_line(tmp_path, folder, capsys):
    write_picture(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no picture")
    (tmp_path / "table.csv").write_text("path\nbad.png\ngood.png\nmissing.png\n")
    output = tmp_path / "out.csv"
    assert run(folder, tmp_path / "table.csv", output=output, num_workers=0) == 2
    lines = [line.split(",") for line in output.read_text().splitlines()]
    assert [line[0] for line in lines] == ["path", "bad.png", "good.png", "missing.png"]
    assert [bool(line[1]) for line in lines] == [True, False, True, False]
    said = capsys.readouterr()
    for line, name in zip(said.err.splitlines(), ("bad.png", "missing.png"), strict=True):
        assert line.startswith(f"{tmp_path / name} must be an image file")
        # Once: the sentence begins with it.
        assert line.count(name) <= 2
    assert "2 could not be read; their lines have no class." in said.out


def test_the_table_that_was_asked_about_is_not_overwritten(tmp_path, folder):
    write_picture(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("path\na.png\n")
    with pytest.raises(ValueError, match="`output` must be a CSV file of its own; got .*table.csv"):
        run(folder, tmp_path / "table.csv", output=tmp_path / "table.csv")
    with pytest.raises(ValueError, match="`output` must be a CSV file of its own"):
        run(folder, tmp_path / "table.csv", output=tmp_path)
    with pytest.raises(ValueError, match="`output` must lie in a folder; got .*table.csv' is a file"):
        run(folder, tmp_path / "table.csv", output=tmp_path / "table.csv" / "out.csv")
    assert (tmp_path / "table.csv").read_text() == "path\na.png\n"
