from __future__ import annotations

import pytest
import torch
from torch import nn

from lt_callbacks.models import NETWORKS, CifarResNet, CosineHead, build_model

WIDTHS = {"small_cnn": 4, "resnet8_half": 4, "resnet20": 4, "resnet32": 4, "preact_resnet18": 4}


@pytest.fixture(params=sorted(NETWORKS))
def name(request):
    return request.param


@pytest.mark.parametrize("head", ["linear", "cosine"])
@pytest.mark.parametrize(("in_channels", "size"), [(1, 8), (3, 32), (1, 28)])
def test_logits_and_gradients(name, in_channels, size, head):
    network = build_model(name, num_classes=5, in_channels=in_channels, width=WIDTHS[name], head=head)
    logits = network(torch.randn(3, in_channels, size, size))
    assert logits.shape == (3, 5)
    logits.logsumexp(dim=1).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_head_is_the_last_layer(name):
    network = build_model(name, num_classes=5, width=WIDTHS[name]).eval()
    images = torch.randn(2, 3, 16, 16)
    assert isinstance(network.head, nn.Linear)
    assert list(network.children())[-1] is network.head
    assert torch.equal(network(images), network.head(network.features(images)))
    assert isinstance(build_model(name, num_classes=5, width=4, head="cosine").head, CosineHead)


def test_channels_last_is_kept_throughout_and_changes_nothing(name):
    network = build_model(name, num_classes=5, width=WIDTHS[name]).eval()
    images = torch.randn(2, 3, 16, 16)
    expected = network(images)
    lost = []

    def look(module, inputs, output):
        if not all(x.is_contiguous(memory_format=torch.channels_last) for x in (*inputs, output)):
            lost.append(module)

    network.to(memory_format=torch.channels_last)
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)):
            module.register_forward_hook(look)
    torch.testing.assert_close(network(images.to(memory_format=torch.channels_last)), expected)
    assert not lost


def test_usual_width(name):
    usual = {"small_cnn": 32, "resnet8_half": 32, "resnet20": 16, "resnet32": 16, "preact_resnet18": 64}[name]
    with torch.device("meta"):
        default = build_model(name, num_classes=10)
        explicit = build_model(name, num_classes=10, width=usual)
        narrow = build_model(name, num_classes=10, width=usual // 2)
    sizes = [sum(p.numel() for p in network.parameters()) for network in (default, explicit, narrow)]
    assert sizes[0] == sizes[1] > sizes[2]


def test_weights_come_from_the_global_seed(name):
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        network = build_model(name, num_classes=3, width=4, head="cosine")
        weights.append(nn.utils.parameters_to_vector(network.parameters()))
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_depths():
    assert len(build_model("resnet20", num_classes=2).stage1) == 3
    assert len(build_model("resnet32", num_classes=2).stage1) == 5
    assert isinstance(build_model("resnet32", num_classes=2), CifarResNet)


def test_a_prefix_goes_to_the_library():
    model = build_model("torchvision:resnet18", num_classes=4)
    assert model.fc.out_features == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            "resnet21",
            "one of 'small_cnn', .*, 'torchvision:NAME', 'timm:NAME'; got 'resnet21'. Near matches: .*'resnet20'",
        ),
        ("resnet18", "got 'resnet18'. Near matches: 'torchvision:resnet18'"),
        ("preact_resnet", "Near matches: 'preact_resnet18'"),
        ("torchvison:resnet18", "got 'torchvison:resnet18'. Near matches: 'torchvision:resnet18'"),
        ("timm", "got 'timm'. Take one of these names."),
        ("qqq", "got 'qqq'. Take one of these names."),
        (None, "got None. Take one of these names."),
        (["resnet20"], r"got \['resnet20'\]"),
    ],
)
def test_an_unknown_name_lists_near_matches(wrong, message):
    with pytest.raises(ValueError, match=message):
        build_model(wrong, num_classes=3)


def test_wrong_settings_are_refused(name):
    with pytest.raises(ValueError, match="`width` must be an integer >= 1; got 0"):
        build_model(name, num_classes=3, width=0)
    with pytest.raises(ValueError, match="`head` must be one of 'linear', 'cosine'; got 'none'"):
        build_model(name, num_classes=3, head="none", width=4)
    with pytest.raises(ValueError, match="`num_classes` must be an integer >= 2; got 1"):
        build_model(name, num_classes=1, width=4)
