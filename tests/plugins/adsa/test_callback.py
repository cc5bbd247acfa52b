from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from adsa_small import (
    COUNTS,
    NAMES,
    FrozenNormNet,
    Net,
    adsa,
    distilled_set,
    fit,
    fresh,
    hashes,
    network_input,
    relabel,
)

from lt_callbacks.adsa import TauFit, calibrate, fit_tau
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, Views, ViewSettings
from lt_callbacks.plugins import ADSACallback
from lt_callbacks.relabel.network import weights_sha256

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
        "networks": None,
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
        "distilled_sha256", "model_sha256", "networks", "labels",
    } == result.keys()  # fmt: skip
    expected = {"prior_source": "datamodule", "fit_on": "crops", "num_fit_views": 2, "shrink_to": 1.0, "top_k": None}
    expected |= {
        "format_version": 2,
        "networks": None,
        "labels": "soft_labels",
        "precision": "32-true",
        "alarms": result["alarms"],
    }
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
