from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from lt_callbacks.models import CosineHead, build_model
from lt_callbacks.models.third_party import library_model, library_names


def test_torchvision_model_has_the_classes_asked_for():
    model = library_model("torchvision:resnet18", num_classes=7).eval()
    assert type(model).__module__.startswith("torchvision.")
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 7)
    # torchvision counts 11,689,512 with 1,000 classes.
    assert sum(p.numel() for p in model.parameters()) == 11_689_512 - 513 * 993


@pytest.mark.parametrize(("name", "path"), [("resnet18", "fc"), ("mobilenet_v3_small", "classifier.3")])
def test_cosine_head_takes_the_place_of_the_last_layer(name, path):
    model = library_model(f"torchvision:{name}", num_classes=5, head="cosine").eval()
    assert isinstance(model.get_submodule(path), CosineHead)
    assert not [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == 5]
    logits = model(torch.randn(2, 3, 64, 64))
    assert logits.shape == (2, 5)
    assert logits.abs().max() <= 30


@pytest.mark.parametrize(("name", "channels"), [("resnet18", 1), ("resnet18", 6), ("squeezenet1_1", 1), ("swin_t", 2)])
def test_a_torchvision_model_takes_any_number_of_channels(name, channels):
    torch.manual_seed(0)
    model = library_model(f"torchvision:{name}", num_classes=7, in_channels=channels).eval()
    usual = library_model(f"torchvision:{name}", num_classes=7).eval()
    assert model(torch.randn(2, channels, 64, 64)).shape == (2, 7)
    changed = [key for key, value in usual.state_dict().items() if model.state_dict()[key].shape != value.shape]
    assert len(changed) == 1
    first, before = model.state_dict()[changed[0]], usual.state_dict()[changed[0]]
    assert first.shape == (before.shape[0], channels, *before.shape[2:])
    # As that library initialises it, not as PyTorch would.
    assert float(first.std()) == pytest.approx(float(before.std()), rel=0.1)
    assert (
        usual.get_submodule(changed[0].rpartition(".")[0]).stride
        == model.get_submodule(changed[0].rpartition(".")[0]).stride
    )


def test_only_classifiers_are_offered():
    names = library_names("torchvision")
    assert "resnet18" in names
    assert not [name for name in names if "rcnn" in name or name.startswith("raft")]


def test_timm_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    message = (
        r"`name` must be .*; got 'timm:resnet18', and timm is not installed. Run `pip install lt_callbacks\[timm\]`\."
    )
    with pytest.raises(ImportError, match=message):
        build_model("timm:resnet18", num_classes=3)
    # Nothing else needs it.
    build_model("small_cnn", num_classes=3)
    build_model("torchvision:resnet18", num_classes=3)
    with pytest.raises(ValueError, match="got 'resnet18'. Near matches"):
        build_model("resnet18", num_classes=3)


def test_timm_broken_inside_says_so_itself(monkeypatch, tmp_path):
    (tmp_path / "timm.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        build_model("timm:resnet18", num_classes=3)


def test_timm_model():
    pytest.importorskip("timm")
    model = build_model("timm:resnet18", num_classes=7, in_channels=1, head="cosine").eval()
    assert isinstance(model.get_classifier(), CosineHead)
    assert model(torch.randn(2, 1, 64, 64)).shape == (2, 7)
    assert build_model("timm:resnet18.a1_in1k", num_classes=3).num_classes == 3
    with pytest.raises(ValueError, match="`name` must be a classifier of timm; got 'timm:resnet19'. Near matches: 'ti"):
        build_model("timm:resnet19", num_classes=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "torchvision:resnet19"}, "classifier of torchvision; got 'torchvision:resnet19'. Near .*resnet18"),
        ({"name": "torchvision:"}, "got 'torchvision:'. See the list of models of torchvision."),
        ({"name": "torchvision:fasterrcnn_resnet50_fpn"}, "`name` must be a classifier of torchvision"),
        ({"name": "torchvison:resnet18"}, "`library` must be one of 'torchvision', 'timm'; got 'torchvison'. Did you"),
        ({"in_channels": 0}, "`in_channels` must be an integer >= 1; got 0"),
        ({"num_classes": 1}, "`num_classes` must be an integer >= 2; got 1"),
        ({"width": 32}, "`width` must be None for 'torchvision:resnet18'; got 32. Choose a model of another width"),
        ({"head": "cos"}, "`head` must be one of 'linear', 'cosine'; got 'cos'"),
        (
            {"name": "torchvision:squeezenet1_1", "head": "cosine"},
            "`head` must be 'linear' for 'torchvision:squeezenet1_1', which has no linear last layer .*; got 'cosine' .* Use",
        ),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    name = settings.pop("name", "torchvision:resnet18")
    with pytest.raises(ValueError, match=message):
        library_model(name, **{"num_classes": 3, **settings})
