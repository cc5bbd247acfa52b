from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_run import tiny_config, tiny_distill_config

from lt_callbacks.apps.config.build import build_classifier, build_datamodule
from lt_callbacks.apps.config.default_network import network_name, with_network_names
from lt_callbacks.apps.distill.build import build_student, student_loss
from lt_callbacks.data import ImageSet, Source


def source_of(channels, height, width):
    images = torch.zeros(12, channels, height, width, dtype=torch.uint8)
    samples = ImageSet(images=images, labels=np.arange(12) % 3)
    return Source(
        name="blank",
        train=samples,
        test=samples,
        class_names=("a", "b", "c"),
        mean=(0.5,) * channels,
        std=(0.5,) * channels,
    )


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((8, 8), "small_cnn"),
        ((64, 64), "small_cnn"),
        ((65, 65), "torchvision:resnet18"),
        ((32, 96), "torchvision:resnet18"),
        ((96, 32), "torchvision:resnet18"),
    ],
)
def test_the_network_follows_the_larger_side_of_the_images(size, expected):
    assert network_name("auto", (3, *size)) == expected


@pytest.mark.parametrize("name", ["small_cnn", "timm:vit_tiny_patch16_224", "misspelt"])
def test_a_name_that_was_given_stands(name):
    assert network_name(name, (3, 224, 224)) == name


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_of_any_channels_are_classified_by_default(tmp_path, channels):
    source = source_of(channels, 72, 72)
    config = tiny_config(tmp_path, "imbalance=none", "noise=none")
    classifier = build_classifier(config, build_datamodule(config, source, seed=0), group="objective")
    assert type(classifier.network).__name__ == "ResNet"
    assert classifier.eval()(torch.zeros(2, channels, 72, 72)).shape == (2, 3)


def test_a_student_of_large_images_is_large(tmp_path):
    config = tiny_distill_config(tmp_path, "imbalance.factor=2")
    datamodule = build_datamodule(config, source_of(3, 72, 72), seed=0)
    student = build_student(config, datamodule, loss=student_loss(config, is_hard=True))
    assert type(student.network).__name__ == "ResNet"


@pytest.mark.parametrize(("size", "expected"), [(8, "small_cnn"), (72, "torchvision:resnet18")])
def test_results_show_the_networks_by_name(tmp_path, size, expected):
    source = source_of(3, size, size)
    train = with_network_names(tiny_config(tmp_path, "model.channels_last=true"), source)
    assert (train.model.name, train.model.channels_last) == (expected, True)
    distill = with_network_names(tiny_distill_config(tmp_path, "networks=[auto,resnet20]"), source)
    assert (distill.model.name, distill.networks) == (expected, [expected, "resnet20"])
