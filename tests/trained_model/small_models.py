"""Small networks with random weights, and their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lt_callbacks.models import build_model
from lt_callbacks.trained_model import ModelFacts, save_model

RESNET = {"network": "torchvision:resnet18", "image_size": (64, 64), "resize": 256 / 224}


def facts_of(**changes: Any) -> ModelFacts:
    """Of a small network for RGB pictures of three kinds of animals."""
    usual: dict[str, Any] = {
        "network": "small_cnn",
        "head": "linear",
        "width": 4,
        "channels_last": False,
        "class_names": ("cat", "dog house", "Ünicorn"),
        "image_size": (24, 32),
        "resize": 1.0,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "method": "dsink",
        "title": "D-SINK",
        "seed": 3,
        "accuracy": 91.25,
        "scored_on": "the test set",
        "data": "animals",
        "training": "dsink-seed3-0123456789ab",
        "package_version": "0.1.0",
    }
    if str(changes.get("network", "")).startswith("torchvision:"):
        usual["width"] = None
    return ModelFacts(**{**usual, **changes})


def network_of(facts: ModelFacts, *, seed: int = 0) -> torch.nn.Module:
    """A network whose weights and running statistics are those of no fresh one."""
    torch.manual_seed(seed)
    network = build_model(
        facts.network,
        num_classes=len(facts.class_names),
        in_channels=len(facts.mean),
        head=facts.head,
        width=facts.width,
    )
    size = (8, len(facts.mean), *facts.image_size)
    for _ in range(3):
        network.train()(torch.randn(size) * 2 + 1)
    return network


def saved(folder: Path, **changes: Any) -> tuple[Path, torch.nn.Module]:
    """A model's folder, and the network in it."""
    facts = facts_of(**changes)
    network = network_of(facts)
    return save_model(folder, network, facts=facts), network.eval()


def write_picture(path: Path, *, size: tuple[int, int] = (40, 60), seed: int = 0, mode: str = "RGB") -> Path:
    """A smooth picture of (height, width), so that one pixel off is seen."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse.resize(size[::-1], Image.Resampling.BICUBIC).convert(mode).save(path)
    return path
