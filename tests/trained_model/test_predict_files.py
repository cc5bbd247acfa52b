from __future__ import annotations

import pytest
import torch
from small_models import saved, write_picture

from lt_callbacks import load_model
from lt_callbacks.trained_model import predict_files


@pytest.mark.parametrize("num_workers", [0, 2])
def test_files_are_predicted_in_their_order_and_a_broken_one_loses_no_other(tmp_path, num_workers):
    folder, _ = saved(tmp_path / "model")
    model = load_model(folder)
    files = [write_picture(tmp_path / f"{number}.jpg", size=(30 + number, 50), seed=number) for number in range(7)]
    expected = model.predict(files)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(files[0].read_bytes()[:40])
    asked = [*files[:2], broken, *files[2:], tmp_path / "missing.png"]
    found = list(predict_files(model, asked, batch_size=3, num_workers=num_workers))
    assert [prediction.path for prediction in found] == asked
    probs = torch.stack([prediction.probs for prediction in found if prediction.probs is not None])
    torch.testing.assert_close(probs, expected, atol=1e-6, rtol=0)
    errors = {prediction.path: prediction.error for prediction in found if prediction.probs is None}
    assert errors.keys() == {broken, tmp_path / "missing.png"}
    assert all(str(path) in error for path, error in errors.items())


def test_a_batch_of_broken_files_alone_is_no_trouble(tmp_path):
    folder, _ = saved(tmp_path / "model")
    (tmp_path / "a.png").write_text("no")
    (found,) = predict_files(load_model(folder), [tmp_path / "a.png"])
    assert (found.probs, str(tmp_path / "a.png") in found.error) == (None, True)


def test_the_global_generator_is_left_alone(tmp_path):
    folder, _ = saved(tmp_path / "model")
    file = write_picture(tmp_path / "a.png")
    before = torch.get_rng_state()
    list(predict_files(load_model(folder), [file]))
    assert torch.equal(before, torch.get_rng_state())
