"""What the callback refuses, before the first step of a training."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from adsa_small import NAMES, Data, adsa, distilled_set, fit, fresh, hashes
from lightning.pytorch.strategies import FSDPStrategy

from lt_callbacks.plugins import ADSACallback


@pytest.fixture
def source(tmp_path):
    distilled_set().save(tmp_path / "in")
    return tmp_path / "in"


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
    "missing": (lambda source: (source / "distilled.json").unlink(), {}, "`distilled` must hold a whole distilled set; got no file"),
    "no images": (lambda source: (source / "images.safetensors").unlink(), {}, "images.safetensors"),
    "damaged": (lambda source: damage(source / "images.safetensors"), {}, "`distilled` must hold .* truncated or was edited"),
    "edited": (
        lambda source: (source / "distilled.json").write_text(
            (source / "distilled.json").read_text().replace("by hand", "by foot")
        ),
        {},
        "`distilled` must hold .* edited or damaged",
    ),
    "other version": (other_version, {}, "`distilled` must hold .* format version 99"),
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
        (lambda: fresh(num_classes=3), Data, "`distilled` must have the classes of the trained model; got a set of 4"),
        (
            fresh,
            DataWithoutLabels,
            "`class_prior` must be .* beside a datamodule with `given_labels`; got 'datamodule' and DataWithoutLabels without",
        ),
        (fresh, DataOfOtherNames, "got class 3, which is 'eel' in the datamodule and 'dog' in the set"),
        (fresh, lambda: Data().train_dataloader(), "`class_prior` must be .*; got 'datamodule' and no datamodule"),
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
        ValueError, match="^`strategy` must leave a whole model on each device for ADSACallback; got FSDPStrategy"
    ):
        callback.setup(running, fresh(), "fit")


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"output": ""}, ValueError, "`output` must be a path: .*; got ''."),
        ({"output": None}, TypeError, "`output` must be a path: .*; got None."),
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
    with pytest.raises(TypeError, match="^`distilled` must be a path: .*; got DistilledSet"):
        ADSACallback(distilled_set(), output=tmp_path)
