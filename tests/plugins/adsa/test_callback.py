from __future__ import annotations

import json
import warnings
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from adsa_small import (
    COUNTS,
    NAMES,
    Data,
    FrozenNormNet,
    Net,
    distilled_set,
    fit,
    fresh,
    hashes,
    network_input,
    relabel,
)
from adsa_small import trainer as quiet_trainer
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from lightning.pytorch.strategies import FSDPStrategy

from lt_callbacks.adsa import TauFit, calibrate, fit_tau
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, Views, ViewSettings
from lt_callbacks.plugins import ADSACallback
from lt_callbacks.plugins.adsa.network import weights_sha256

pytestmark = pytest.mark.filterwarnings("ignore:Over-correction", "ignore:Less than", "ignore:tau = ")

NUM_VIEWS = 3
FILES = {
    "distilled.json",
    "images.safetensors",
    "adsa.json",
    "tau.png",
    "confidence.png",
    "images.png",
    "soft_labels/soft_labels.json",
    *(f"soft_labels/view-{view:05}.safetensors" for view in range(NUM_VIEWS)),
}


@pytest.fixture
def source(tmp_path):
    distilled_set().save(tmp_path / "in")
    return tmp_path / "in"


def adsa(source, **settings):
    return ADSACallback(source, **{"output": source.parent / "out", "num_views": NUM_VIEWS, **settings})


@torch.no_grad()
def by_hand(module, images, *, is_mixed=False):
    """Logits; bfloat16 rounds so coarsely that batches have to be the same."""
    module.eval()
    if is_mixed:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return module(images).float()
    return torch.cat([module(image[None]) for image in images])


# What comes out.


@pytest.mark.parametrize(("kind", "precision"), [(Net, "32-true"), (FrozenNormNet, "32-true"), (Net, "bf16-mixed")])
def test_tau_is_that_of_the_logits_computed_by_hand(source, kind, precision):
    callback = adsa(source, fit_on="plain")
    module, _ = fit(callback, module=fresh(kind), precision=precision)
    # As Lightning leaves it; eval mode is for what was frozen.
    assert module.training
    assert module.layers[4].training
    assert module.layers[2].training == (kind is Net)
    logits = by_hand(module, network_input(distilled_set().images), is_mixed=precision == "bf16-mixed")
    expected = fit_tau(logits, distilled_set().intended_class, COUNTS)
    assert callback.tau_fit.tau == pytest.approx(expected.tau, abs=1e-5)
    for name in ("class_confidence", "class_confidence_before"):
        assert getattr(callback.tau_fit, name).tolist() == pytest.approx(getattr(expected, name).tolist(), abs=1e-5)


def test_the_labels_are_the_models_logits_calibrated(source):
    views = ViewSettings(crop="padded", crop_padding=1, mix="cutmix")
    callback = adsa(source, views=views, target_prior=[4, 3, 2, 1], batch_size=5)
    module, _ = fit(callback)
    distilled = DistilledSet.load(callback.output)
    labels = SoftLabels.open(callback.output / "soft_labels", distilled=distilled)
    everything = torch.arange(len(distilled))
    assert (labels.views, labels.num_views, labels.missing_views()) == (views, NUM_VIEWS, [])
    for view in range(NUM_VIEWS):
        plain = by_hand(module, Views(distilled, views).images(everything, view))
        expected = calibrate(plain, COUNTS, callback.tau_fit.tau, target_prior=[4, 3, 2, 1])
        assert torch.allclose(labels.logits(everything, view), expected, atol=2e-3, rtol=2e-3)
        assert not torch.allclose(labels.logits(everything, view), plain, atol=0.1)
    assert labels.calibration == {
        "method": "adsa",
        "tau": callback.tau_fit.tau,
        "class_prior": callback.tau_fit.class_prior.tolist(),
        "target_prior": [0.4, 0.3, 0.2, 0.1],
        "model_sha256": weights_sha256(module),
        "precision": "32-true",
    }


def test_the_output_has_the_same_images_and_says_everything(source):
    before = hashes(source)
    callback = adsa(source, fit_on="crops", num_fit_views=2, shrink_to=1.0)
    module, _ = fit(callback)
    assert hashes(source) == before
    after = hashes(callback.output)
    assert after.keys() == FILES
    assert after["images.safetensors"] == before["images.safetensors"]
    assert DistilledSet.load(callback.output) == distilled_set()
    result = json.loads((callback.output / "adsa.json").read_text())
    assert {name: result[name] for name in callback.tau_fit.to_dict()} == callback.tau_fit.to_dict()
    assert callback.tau_fit.class_prior.tolist() == pytest.approx([count / sum(COUNTS) for count in COUNTS])
    assert {field.name for field in fields(TauFit)} | {
        "format", "format_version", "checksum", "alarms", "class_names", "recognised", "entropy", "prior_source",
        "target_prior", "fit_on", "num_fit_views", "shrink_to", "views", "num_views", "top_k", "precision",
        "distilled_sha256", "model_sha256",
    } == result.keys()  # fmt: skip
    expected = {"prior_source": "datamodule", "fit_on": "crops", "num_fit_views": 2, "shrink_to": 1.0, "top_k": None}
    assert {name: result[name] for name in expected} == expected
    assert (result["distilled_sha256"], result["model_sha256"]) == (distilled_set().sha256, weights_sha256(module))
    assert result["class_names"] == list(NAMES)


def test_a_prior_that_is_given_comes_before_the_datamodules(source):
    callback = adsa(source, class_prior=[1, 2, 3, 4])
    fit(callback)
    assert callback.tau_fit.class_prior.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert json.loads((callback.output / "adsa.json").read_text())["prior_source"] == "argument"


def test_a_tau_is_used_as_it_is_reported(source):
    callback = adsa(source)
    fit(callback)
    assert callback.tau_fit.tau == round(callback.tau_fit.tau, 6)
    assert callback.tau_fit.tau == pytest.approx(callback.tau_fit.unshrunk_tau, abs=1e-6)


@pytest.mark.parametrize("top_k", [None, 2])
def test_views_are_those_of_the_inputs_labels_unless_given(source, top_k):
    settings = ViewSettings(seed=9, crop="padded", crop_padding=1)
    SoftLabels.create(source / "soft_labels", distilled=distilled_set(), views=settings, num_views=2)
    relabel(adsa(source, num_views=None, top_k=top_k), fresh())
    labels = SoftLabels.open(source.parent / "out" / "soft_labels")
    assert (labels.views, labels.num_views, labels.top_k, labels.missing_views()) == (settings, 2, top_k, [])
    relabel(adsa(source, output=source.parent / "given", views={"crop": "none"}, num_views=1), fresh())
    labels = SoftLabels.open(source.parent / "given" / "soft_labels")
    assert (labels.views, labels.num_views) == (ViewSettings(crop="none"), 1)


# The training.


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


# Alarms.


def test_alarms_are_warnings_and_in_the_result(source):
    # Nothing to learn: every class looks the same to an untrained network.
    callback = adsa(source)
    with pytest.warns(UserWarning, match=r"^Less than 25 % of the images of \d of 4 classes are recognised") as caught:
        relabel(callback, fresh())
    said = json.loads((callback.output / "adsa.json").read_text())["alarms"]
    assert said
    assert set(said) <= {str(warning.message) for warning in caught}


def test_with_raise_an_alarm_is_an_error_before_anything_is_written(source):
    callback = adsa(source, on_degenerate="raise")
    module = fresh()
    with pytest.raises(RuntimeError, match="Less than 25 % .* Nothing was written. Set `on_degenerate='warn'`"):
        fit(callback, module=module, max_epochs=1, limit_train_batches=1)
    assert module.num_steps == 1
    assert not callback.output.exists()


def test_logits_that_are_not_finite_are_an_error_and_nothing_is_written(source):
    class Broken(Net):
        def on_train_end(self):
            raise AssertionError("comes after the callbacks'")

        def forward(self, images):
            return super().forward(images) * (1 if self.training or not self.num_steps else float("nan"))

    callback = adsa(source)
    with pytest.raises(ValueError, match="finite"):
        fit(callback, module=fresh(Broken))
    assert not callback.output.exists()


# What is refused before the first step.


def damage(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))


def other_version(source):
    facts = json.loads((source / "distilled.json").read_text())
    (source / "distilled.json").write_text(json.dumps({**facts, "format_version": 99}))


class DataWithoutLabels(Data):
    def __init__(self):
        super().__init__()
        self.kept, self.given_labels = self.given_labels, None

    def train_dataloader(self):
        self.given_labels = self.kept
        return super().train_dataloader()


class DataOfOtherNames(Data):
    class_names = (*NAMES[:3], "eel")


BROKEN = {
    "missing": (lambda source: (source / "distilled.json").unlink(), {}, "`distilled` must be the folder of a whole"),
    "no images": (lambda source: (source / "images.safetensors").unlink(), {}, "images.safetensors"),
    "damaged": (lambda source: damage(source / "images.safetensors"), {}, "`distilled` must be .* truncated or was edited"),
    "edited": (
        lambda source: (source / "distilled.json").write_text(
            (source / "distilled.json").read_text().replace("by hand", "by foot")
        ),
        {},
        "`distilled` must be .* edited or damaged",
    ),
    "other version": (other_version, {}, "`distilled` must be .* format version 99"),
    "output is input": (None, {"output": "in/"}, "`output` must not be the folder `distilled`"),
    "output in input": (None, {"output": "in/labels"}, "`output` must not be the folder `distilled`"),
    "other content": (
        lambda source: (source.parent / "out" / "photos").mkdir(parents=True),
        {},
        "`output` must be new or empty",
    ),
    "short prior": (None, {"class_prior": [3, 2, 1]}, "`class_prior` must have one entry for each of the 4 classes"),
    "long target": (None, {"target_prior": [1] * 5}, "`target_prior` must have one entry for each of the 4"),
    "uneven prior": (None, {"class_prior": [1e30, 1, 1, 1]}, "`class_prior` must"),
    "far shrink_to": (None, {"shrink_to": 9.0}, "`shrink_to` must"),
    "top_k": (None, {"top_k": 5}, "`top_k` must be an integer >= 1 and <= 4; got 5"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_an_input_that_cannot_work_is_refused_before_the_first_step(source, monkeypatch, name):
    monkeypatch.chdir(source.parent)
    prepare, settings, text = BROKEN[name]
    if prepare:
        prepare(source)
    before, module = hashes(source.parent), fresh()
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        fit(adsa(source, **settings), module=module)
    assert module.num_steps == 0
    assert hashes(source.parent) == before


@pytest.mark.parametrize(
    ("module", "data", "text"),
    [
        (lambda: fresh(num_classes=3), Data, "`distilled` must have the classes of the trained model; the set has 4"),
        (fresh, DataWithoutLabels, "`class_prior='datamodule'` needs a datamodule with `given_labels`"),
        (fresh, DataOfOtherNames, "class 3 is 'eel' in the datamodule and 'dog' in the set"),
        (fresh, lambda: Data().train_dataloader(), "`class_prior='datamodule'` needs .*; got no datamodule"),
    ],
)
def test_a_model_or_datamodule_that_does_not_fit_is_refused_before_the_first_step(source, module, data, text):
    module = module()
    with pytest.raises(ValueError, match=text):
        fit(adsa(source), module=module, data=data())
    assert module.num_steps == 0
    assert not (source.parent / "out").exists()


def test_a_sharded_model_is_refused(source):
    callback = adsa(source)
    running = SimpleNamespace(strategy=FSDPStrategy(), callbacks=[callback])
    with pytest.raises(
        ValueError, match="ADSACallback needs a whole model on each device; got the strategy FSDPStrategy"
    ):
        callback.setup(running, fresh(), "fit")


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"output": ""}, TypeError, "`output` must be the path of a folder; got ''."),
        ({"output": None}, TypeError, "`output` must be the path of a folder; got None."),
        ({"class_prior": "datamodul"}, ValueError, "`class_prior` must be one of 'datamodule'"),
        ({"class_prior": [1, 0]}, ValueError, "`class_prior` must be finite and > 0; got 0"),
        ({"fit_on": "crop"}, ValueError, "`fit_on` must be one of .*; got 'crop'. Did you mean 'crops'?"),
        ({"num_fit_views": 0}, ValueError, "`num_fit_views` must be an integer >= 1; got 0."),
        ({"num_views": 0}, ValueError, "`num_views` must be an integer >= 1; got 0."),
        ({"views": "crops"}, TypeError, "`views` must be ViewSettings, their values or None; got str."),
        ({"views": {"crops": 1}}, ValueError, "got 'crops'. Did you mean 'crop'?"),
        ({"target_prior": [1, -1]}, ValueError, "`target_prior` must be finite and > 0; got -1"),
        ({"shrink_to": "1"}, TypeError, "`shrink_to` must be a finite number; got '1'."),
        ({"top_k": 0}, ValueError, "`top_k` must be an integer >= 1; got 0."),
        ({"batch_size": 2.5}, TypeError, "`batch_size` must be an integer >= 1; got 2.5."),
        ({"on_degenerate": "ignore"}, ValueError, "`on_degenerate` must be one of 'warn', 'raise'; got 'ignore'."),
    ],
)
def test_a_setting_out_of_range_is_refused_by_the_constructor(settings, error, text):
    with pytest.raises(error, match=text):
        ADSACallback("in", **{"output": "out", **settings})


def test_the_input_must_be_a_path(tmp_path):
    with pytest.raises(TypeError, match="^`distilled` must be the path of a folder; got DistilledSet"):
        ADSACallback(distilled_set(), output=tmp_path)


# In a project made from lightning-hydra-template; what the projects themselves are is in tests/conf/.


def test_the_config_file_makes_a_callback(source):
    hydra = pytest.importorskip("hydra")
    from omegaconf import OmegaConf

    file = Path(__file__).parents[3] / "conf" / "callbacks" / "adsa.yaml"
    config = OmegaConf.load(file).adsa
    config.merge_with({"distilled": str(source), "output": str(source.parent / "out"), "num_views": 1})
    config.merge_with({"class_prior": list(COUNTS), "views": {"crop_area": [0.5, 1.0]}})
    callback = hydra.utils.instantiate(config)
    assert isinstance(callback, ADSACallback)
    relabel(callback, fresh())
    assert SoftLabels.open(callback.output / "soft_labels").views == ViewSettings(crop_area=(0.5, 1.0))
    missing = OmegaConf.missing_keys(OmegaConf.load(file))
    assert missing == {"adsa.distilled", "adsa.output"}
