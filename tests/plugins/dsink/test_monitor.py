import numpy as np
import pytest
import resumed_modules
import small_modules as m
import torch
from lightning.pytorch import Callback
from torch import nn

from lt_callbacks import DSink, DSinkCallback, DSinkMixin, ProxyLabelMonitor


class Says(nn.Module):
    """A teacher that says the same of every sample."""

    def __init__(self, logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, x):
        return self.logits.expand(len(x), -1)


def fit(monitor, *, noise=None, imbalance=None, num_steps=4, batches=None, **settings):
    default_noise, default_imbalance = m.teachers()
    add = DSink(noise_teacher=noise or default_noise, imbalance_teacher=imbalance or default_imbalance, **settings)
    trainer = m.trainer(callbacks=[DSinkCallback(add), monitor])
    trainer.fit(m.fresh(m.ReturnsTensor), batches or m.datamodule(num_steps, with_index=True))
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_logs_what_the_proxy_labels_are():
    given = m.data(4).tensors[1].numpy()
    # Every second label is said to be wrong.
    true = np.where(np.arange(len(given)) % 2, (given + 1) % 4, given)
    metrics = fit(ProxyLabelMonitor(true_labels=true))
    assert set(metrics) == {
        f"dsink/{name}"
        for name in ("entropy", "largest_class", "agreement", "marginal_error", "sweeps", "accuracy", "given_accuracy")
    }
    assert metrics["dsink/given_accuracy"] == 0.5
    assert 0 <= metrics["dsink/marginal_error"] <= 1e-3
    assert 1 <= metrics["dsink/sweeps"] <= 100
    assert 0 < metrics["dsink/entropy"] < 1


def test_the_truth_is_looked_up_by_index_and_comes_from_the_datamodule():
    given = m.data(4).tensors[1]
    sharp = Says([0.0, 30.0, 0.0, 0.0])
    batches = m.datamodule(4, with_index=True)
    batches.true_labels = np.where(np.arange(len(given)) < 16, 1, 0)
    metrics = fit(ProxyLabelMonitor(), noise=sharp, imbalance=sharp, batches=batches)
    assert metrics["dsink/accuracy"] == pytest.approx(16 / 64)
    assert metrics["dsink/agreement"] == pytest.approx(float((given == 1).float().mean()))


def test_a_third_item_that_is_no_index_looks_no_truth_up():
    """A flag, say, or the true label itself."""
    x, y = m.data(2).tensors

    class Flagged(m.LightningDataModule):
        true_labels = np.zeros(len(x), dtype=np.int64)

        def train_dataloader(self):
            return m.DataLoader(m.TensorDataset(x, y, torch.zeros(len(x)).long()), batch_size=m.BATCH)

    assert "dsink/accuracy" not in fit(ProxyLabelMonitor(), batches=Flagged())
    assert "dsink/accuracy" in fit(ProxyLabelMonitor(), batches=Flagged(), index_from=2)
    with pytest.raises(
        RuntimeError, match="`true_labels` must be looked up by the samples' index; .*none that is cert"
    ):
        fit(ProxyLabelMonitor(true_labels=Flagged.true_labels), batches=Flagged())


@pytest.mark.parametrize("first", [-1, 70])
def test_an_index_that_is_no_sample_looks_no_other_samples_truth_up(first):
    """A negative one would count from the end."""
    x, y = m.data(4).tensors
    index = torch.arange(len(x)).index_fill(0, torch.tensor([0]), first)

    class Counted(m.LightningDataModule):
        true_labels = np.zeros(len(x), dtype=np.int64)

        def train_dataloader(self):
            return m.DataLoader(m.TensorDataset(x, y, index), batch_size=m.BATCH)

    with pytest.raises(
        ValueError, match=rf"^`index` must lie in 0\.\.63; got {first} at position 0\. There are 64 `true_"
    ):
        fit(ProxyLabelMonitor(), batches=Counted(), index_from=2)


def test_without_the_truth_there_is_no_accuracy():
    assert "dsink/accuracy" not in fit(ProxyLabelMonitor())


def test_alarms():
    uniform = Says([0.0, 0.0, 0.0, 0.0])
    with pytest.warns(UserWarning, match="proxy labels of epoch 0 are near-uniform: mean entropy"):
        fit(ProxyLabelMonitor(uniform_above=0.5), noise=uniform, imbalance=uniform)
    one = Says([0.0, 40.0, 0.0, 0.0])
    with pytest.raises(RuntimeError, match="proxy labels of epoch 0 are one class: it has 1.000 of the mass"):
        fit(ProxyLabelMonitor(on_degenerate="raise"), noise=one, imbalance=one)


def test_statistics_start_afresh_each_epoch():
    seen = []

    class Spy(ProxyLabelMonitor):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.append(float(self._statistics.num_steps))
            super().on_train_epoch_end(trainer, pl_module)

    noise, imbalance = m.teachers()
    callbacks = [DSinkCallback(DSink(noise_teacher=noise, imbalance_teacher=imbalance)), Spy()]
    m.trainer(callbacks=callbacks, max_epochs=3).fit(m.fresh(m.ReturnsTensor), m.datamodule(5))
    assert seen == [5, 5, 5]


def test_bad_use():
    with pytest.raises(RuntimeError, match="ProxyLabelMonitor needs D-SINK on the module; found none"):
        m.trainer(callbacks=[ProxyLabelMonitor()]).fit(m.fresh(m.ReturnsTensor), m.datamodule(1))
    with pytest.raises(RuntimeError, match="`label_from` must name the given labels in the batch; 7 gives NoneType"):
        fit(ProxyLabelMonitor(label_from=7))
    with pytest.raises(ValueError, match="`on_degenerate` must be one of 'warn', 'raise'"):
        ProxyLabelMonitor(on_degenerate="stop")
    with pytest.raises(ValueError, match="`uniform_above` must be a finite number > 0 and <= 1; got 2"):
        ProxyLabelMonitor(uniform_above=2)


def test_the_mixin_form_is_watched_too():
    module = m.fresh(type("Robust", (DSinkMixin, m.ReturnsTensor), {}))
    noise, imbalance = m.teachers()
    module.attach_dsink(DSink(noise_teacher=noise, imbalance_teacher=imbalance))
    trainer = m.trainer(callbacks=[ProxyLabelMonitor()])
    trainer.fit(module, m.datamodule(2))
    assert "dsink/marginal_error" in trainer.callback_metrics


class Epochs(Callback):
    """What the monitor said of each epoch; it stands behind it."""

    def __init__(self):
        self.values = {}

    def on_train_epoch_end(self, trainer, *args):
        values = trainer.callback_metrics.items()
        self.values[trainer.current_epoch] = {name: float(value) for name, value in values if name.startswith("dsink/")}


def epochs(folder, *callbacks, resumes=False):
    found = Epochs()
    arguments = {"with_dsink": True, "every": {"every_n_train_steps": 1}, "resumes": resumes}
    resumed_modules.fit(folder, ProxyLabelMonitor(), found, *callbacks, **arguments)
    return found.values


def test_an_epoch_that_was_stopped_and_went_on_is_told_of_whole(tmp_path):
    expected = epochs(tmp_path / "straight")
    at = resumed_modules.STEPS + 3
    with pytest.raises(KeyError, match="interrupted"):
        epochs(tmp_path / "stopped", resumed_modules.Interrupt(at))
    assert len(expected[1]) == 7
    assert epochs(tmp_path / "stopped", resumes=True) == {epoch: expected[epoch] for epoch in (1, 2)}
