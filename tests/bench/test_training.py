import numpy as np
import pytest
import torch

from lt_callbacks.bench import training
from lt_callbacks.bench.images import build_datamodule, made_up
from lt_callbacks.bench.training import OURS, REFERENCE, WAYS, TrainingSetting, as_arrays, training_ratios
from lt_callbacks.bench.training_reference import Hyperparameters

TINY = TrainingSetting(
    hyperparameters=Hyperparameters(epochs=1, batch_size=16, workers=0),
    model="small_cnn",
    num_classes=3,
    num_train=96,
    num_test=30,
)


def test_all_ways_train_the_same_and_the_document_is_continued(tmp_path):
    said = []
    settings = {"output": tmp_path, "command": "lt-bench training", "device": "cpu", "say": said.append}
    first = training.run(TINY, seeds=[0], **settings)
    assert list(first.measurements) == ["seed 0"]
    rows = first.measurements["seed 0"]["rows"]
    assert tuple(rows) == WAYS
    for row in rows.values():
        assert row["total_seconds"] == pytest.approx(row["teacher_seconds"] + row["student_seconds"], abs=1e-3)
        assert len(row["epoch_seconds"]) == 1
        assert 0 <= row["accuracy"] <= 100
    said.clear()
    second = training.run(TINY, seeds=[0, 1], **settings)
    assert second.measurements["seed 0"] == first.measurements["seed 0"]
    # Who begins changes by seed.
    assert [line for line in said if line.startswith("seed 1")] == [f"seed 1: {way}" for way in WAYS[::-1]]


def test_both_ways_see_the_same_images_and_wrong_labels():
    source = made_up(num_classes=3, num_train=90, num_test=9, seed=0)
    data = build_datamodule(source, batch_size=16, seed=3)
    arrays = as_arrays(source, data)
    assert np.array_equal(arrays.labels, data.given_labels)
    images, labels, index = next(iter(data.predict_dataloader()))
    pixels = torch.from_numpy(arrays.images[index.numpy()]).permute(0, 3, 1, 2).float() / 255
    expected = (pixels - torch.tensor(arrays.mean)[:, None, None]) / torch.tensor(arrays.std)[:, None, None]
    assert torch.allclose(images, expected, atol=1e-4)
    assert np.array_equal(labels.numpy(), arrays.labels[index.numpy()])


def test_ratios_are_of_totals_and_of_epochs():
    def row(total, epochs):
        return {"total_seconds": total, "epoch_seconds": epochs}

    found = training_ratios({OURS: row(2.0, [1.0, 1.0, 4.0]), REFERENCE: row(6.0, [3.0, 4.0, 5.0])})
    assert found == {"written by hand / ours, total": 3.0, "written by hand / ours, student epoch": 4.0}
    assert training_ratios({OURS: row(2.0, [1.0])}) == {}
