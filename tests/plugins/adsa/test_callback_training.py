"""The callback in a training: what it leaves alone, and when it does nothing."""

from __future__ import annotations

import warnings

import pytest
import torch
from adsa_small import Data, Net, adsa, distilled_set, fit, fresh, hashes, relabel
from adsa_small import trainer as quiet_trainer
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging

from lt_callbacks.distilled_set import SoftLabels
from lt_callbacks.plugins import ADSACallback
from lt_callbacks.relabel.network import weights_sha256

pytestmark = pytest.mark.filterwarnings("ignore:Over-correction", "ignore:Less than", "ignore:tau = ")


@pytest.fixture
def source(tmp_path):
    distilled_set().save(tmp_path / "in")
    return tmp_path / "in"


def test_the_training_does_not_notice(source, tmp_path):
    module, running = fit(adsa(source), ModelCheckpoint(tmp_path / "with"), enable_checkpointing=True)
    plain, _ = fit(ModelCheckpoint(tmp_path / "without"), enable_checkpointing=True)
    assert all(torch.equal(value, plain.state_dict()[name]) for name, value in module.state_dict().items())
    saved = torch.load(running.checkpoint_callback.best_model_path, weights_only=True)
    assert not [key for key in saved["callbacks"] if "ADSA" in key]


def test_a_fit_that_was_over_when_it_was_resumed_is_relabelled_all_the_same(source, tmp_path):
    # As after a kill while labels were being written: the last checkpoint is that of the last epoch.
    module, running = fit(ModelCheckpoint(tmp_path / "saved", save_last=True), enable_checkpointing=True)
    direct = adsa(source, output=tmp_path / "direct")
    relabel(direct, module)
    resumed = adsa(source)
    again = fresh(seed=1)
    quiet_trainer(resumed).fit(again, Data(), ckpt_path=running.checkpoint_callback.last_model_path)
    assert again.num_steps == 0
    assert hashes(resumed.output) == hashes(direct.output)
    assert resumed.tau_fit.tau == direct.tau_fit.tau


@pytest.mark.parametrize("is_behind", [True, False])
def test_averaged_weights_are_labelled_with_if_the_callback_stands_behind(source, is_behind):
    average, callback = StochasticWeightAveraging(swa_lrs=0.1, swa_epoch_start=2), adsa(source)
    module = fresh()
    # With batch normalisation Lightning averages an epoch earlier, to measure its statistics anew.
    module.layers[2] = torch.nn.Identity()
    callbacks = [average, callback] if is_behind else [callback, average]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(*callbacks, module=module)
    said = [str(warning.message) for warning in caught if "ADSACallback must come behind" in str(warning.message)]
    assert bool(said) != is_behind
    labels = SoftLabels.open(callback.output / "soft_labels")
    assert (labels.calibration["model_sha256"] == weights_sha256(module)) == is_behind


def test_a_dev_run_checks_and_writes_nothing(source):
    callback = adsa(source)
    with pytest.warns(UserWarning, match="ADSACallback writes nothing in a `fast_dev_run`"):
        fit(callback, fast_dev_run=True)
    assert callback.tau_fit is None
    assert not callback.output.exists()
    with pytest.raises(ValueError, match="^`distilled` must have the classes of the trained model"):
        fit(adsa(source), module=fresh(num_classes=3), fast_dev_run=True)


def test_validation_test_and_prediction_do_nothing(source, tmp_path):
    class Evaluated(Net):
        def validation_step(self, batch, batch_idx):
            self(batch[0])

        test_step = validation_step

        def predict_step(self, batch, batch_idx):
            return self(batch[0])

    loader = Data().train_dataloader()
    # Not even the input is looked for.
    callback = ADSACallback(tmp_path / "none", output=tmp_path / "out")
    running = quiet_trainer(callback)
    running.validate(Evaluated(), loader)
    running.test(Evaluated(), loader)
    running.predict(Evaluated(), loader)
    assert hashes(tmp_path).keys() == hashes(source.parent).keys()
    assert not callback.output.exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_fit_that_is_interrupted_writes_nothing(source, error):
    class Interrupted(Net):
        def training_step(self, batch, batch_idx):
            if self.num_steps == 2:
                raise error("stop")
            return super().training_step(batch, batch_idx)

    callback = adsa(source)
    # Lightning ends the process on Ctrl-C.
    with pytest.raises((RuntimeError, SystemExit)):
        fit(callback, module=fresh(Interrupted))
    assert not callback.output.exists()
    assert callback.tau_fit is None


def test_a_second_fit_is_refused_and_does_not_harm_the_first(source):
    callback = adsa(source)
    fit(callback)
    before = hashes(callback.output)
    module = fresh()
    with pytest.raises(ValueError, match="`output` must be new; .* holds a finished relabelling"):
        fit(callback, module=module)
    assert module.num_steps == 0
    assert hashes(callback.output) == before
