"""Three classes of small pictures, networks that tell them apart, and a distilled set of them."""

from __future__ import annotations

import copy
from functools import cache

import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch import Tensor, nn

from lt_callbacks.dataset_distillation import RealImages
from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.models.small_cnn import SmallCNN

NAMES = ("ant", "bee", "cat")
COUNTS = (24, 9, 2)
CHANNELS, SIDE = 2, 8
MEAN, STD = (0.4, 0.45), (0.25, 0.3)


def pictures(labels: Tensor, *, seed: int = 0) -> Tensor:
    """(N, 2, 8, 8) uint8: noise, and a brighter pair of rows whose place tells the class."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 130, (len(labels), CHANNELS, SIDE, SIDE), generator=generator)
    for label in range(len(NAMES)):
        images[labels == label, :, 2 * label : 2 * label + 2] += 90
    return images.to(torch.uint8)


def real_images(counts=COUNTS, *, seed: int = 0, **changes) -> RealImages:
    """Samples of all classes in mixed order."""
    labels = torch.repeat_interleave(torch.arange(len(NAMES)), torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed + 1))]
    values = {"pixels": pictures(labels, seed=seed), "labels": labels, "class_names": NAMES, "mean": MEAN, "std": STD}
    return RealImages(**{**values, **changes})


def new_network(seed: int = 0) -> nn.Module:
    """Three batch-norm layers; random weights that do not depend on what ran before."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SmallCNN(num_classes=len(NAMES), in_channels=CHANNELS, width=4)


@cache
def _trained(seed: int) -> nn.Module:
    network, real = new_network(seed).train(), real_images((20, 20, 20), seed=seed + 7)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(30):
        optimizer.zero_grad()
        F.cross_entropy(network(real.normalised(real.pixels)), real.labels).backward()
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return network


def trained_network(seed: int = 0) -> nn.Module:
    """In training mode, as a user may hand it over."""
    return copy.deepcopy(_trained(seed))


def state_of(network: nn.Module) -> tuple:
    """Everything that a distiller must leave alone."""
    return (
        {name: value.clone() for name, value in network.state_dict().items()},
        [module.training for module in network.modules()],
        [(weight.requires_grad, weight.grad) for weight in network.parameters()],
        [len(module._forward_pre_hooks) + len(module._forward_hooks) for module in network.modules()],
    )


def is_same_state(network: nn.Module, before: tuple) -> bool:
    after = state_of(network)
    return after[1:] == before[1:] and all(torch.equal(value, before[0][name]) for name, value in after[0].items())


def numbered_set(num_images: int = 7, **changes) -> DistilledSet:
    """A picture says its own position in the set in every pixel; classes are in no order."""
    numbers = torch.arange(num_images, dtype=torch.uint8)
    values = {
        "images": numbers.view(-1, 1, 1, 1).expand(-1, 1, 4, 4).clone(),
        "intended_class": (torch.arange(num_images) * 2 + 1) % len(NAMES),
        "class_names": NAMES,
        "mean": (0.0,),
        "std": (1.0,),
    }
    return DistilledSet(**{**values, **changes})


def numbers_in(images: Tensor) -> list[int]:
    """What `numbered_set` wrote, read back from views that are `PLAIN_VIEW`."""
    return (images[:, 0, 0, 0] * 255).round().long().tolist()


def quiet_trainer(**arguments) -> Trainer:
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **arguments,
    )
