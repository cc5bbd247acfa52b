from __future__ import annotations

import copy
import json

import pytest
import torch
from safetensors.torch import load_file
from tiny_run import tiny_study, type_command
from torch import nn

from lt_callbacks.apps.train.compiled import compiled
from lt_callbacks.models import build_model


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def test_names_stay_and_copies_are_not_compiled():
    net = network()
    names = list(net.state_dict())
    with compiled(net, enabled=True):
        assert net._compiled_call_impl is not None
        assert list(net.state_dict()) == names
        assert copy.deepcopy(net)._compiled_call_impl is None
    assert net._compiled_call_impl is None


@pytest.mark.parametrize("enabled", [False, True])
def test_afterwards_hooks_are_seen_also_after_an_error(enabled):
    net, seen = network(), []

    def fail():
        with compiled(net, enabled=enabled):
            assert (net._compiled_call_impl is not None) is enabled
            raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        fail()
    assert net._compiled_call_impl is None
    net[0].register_forward_hook(lambda *_: seen.append(1))
    net(torch.zeros(2, 4))
    assert seen == [1]


@pytest.mark.slow
def test_a_compiled_network_is_the_network():
    net, images = build_model("small_cnn", num_classes=10, in_channels=1), torch.randn(6, 1, 8, 8)
    plain = copy.deepcopy(net)
    with compiled(net, enabled=True):
        for part in (images, images[:4]):
            torch.testing.assert_close(net(part), plain(part), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(net.eval()(images), plain.eval()(images), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("teachers=cached",)])
def test_lt_train_compiled_and_channels_last(monkeypatch, tmp_path, more):
    """The whole command, with D-SINK's capture, checkpoints and saved networks."""
    run = ("methods=[ce,dsink]", "save_networks=true", "checkpoint_every_seconds=0", *more)
    for name, settings in (("fast", ("speed=cpu",)), ("plain", ())):
        assert type_command(monkeypatch, tmp_path / name, *run, *settings) == 0
    accuracies, states = [], []
    for name in ("fast", "plain"):
        document = json.loads((tmp_path / name / "run" / "metrics.json").read_text())
        assert document["settings"]["model"].get("compile", False) is (name == "fast")
        accuracies.append({cell["method"]: cell["accuracy"] for cell in document["cells"]})
        files = sorted((tmp_path / name / "run" / "networks").iterdir())
        assert [file.name for file in files] == ["ce-seed0.safetensors", "dsink-seed0.safetensors"]
        states.append([load_file(file) for file in files])
    for fast, plain in zip(*states, strict=True):
        assert fast.keys() == plain.keys()
        for name, value in fast.items():
            torch.testing.assert_close(value, plain[name], atol=0.05, rtol=0.05)
    # Rounding alone: a few of some 360 test images.
    for method, accuracy in accuracies[0].items():
        assert accuracy == pytest.approx(accuracies[1][method], abs=2.0)


@pytest.mark.slow
def test_stored_teachers_of_a_compiled_run_serve_a_plain_one(tmp_path):
    fast = tiny_study(tmp_path, "model.compile=true", "trainer.max_epochs=1")
    trained = fast.teachers.settle(["imbalance"])["imbalance"]
    assert not trained.is_reused
    plain = tiny_study(tmp_path, "trainer.max_epochs=1")
    reused = plain.teachers.settle(["imbalance"])["imbalance"]
    assert reused.is_reused
    images = next(iter(plain.datamodule.test_dataloader()))[0]
    expected = trained.classifier.eval()(images)
    torch.testing.assert_close(reused.classifier.eval()(images), expected, atol=1e-5, rtol=1e-5)
