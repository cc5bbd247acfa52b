from types import SimpleNamespace

import pytest

from lt_callbacks.bench import fit_time
from lt_callbacks.bench.fit_time import fit_seconds
from lt_callbacks.bench.images import build_datamodule, made_up
from lt_callbacks.bench.students import optimisation
from lt_callbacks.methods import Classifier
from lt_callbacks.models import build_model


def test_the_first_step_of_a_fit_is_not_counted(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(fit_time, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    class Slow(Classifier):
        def training_step(self, batch, batch_idx):
            now[0] += 2.0 if now[0] else 100.0
            return super().training_step(batch, batch_idx)

    datamodule = build_datamodule(made_up(num_classes=3, num_train=96, num_test=3, seed=0), batch_size=8, seed=0)
    module = Slow(network=build_model("small_cnn", num_classes=3, in_channels=3), optimisation=optimisation())
    assert fit_seconds(module, datamodule, steps=4, precision="32-true", device="cpu") == pytest.approx(2.0)
    assert now[0] == 106.0
