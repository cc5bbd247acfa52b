import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from small_world import COUNTS, MEAN, NAMES, STD, real_images, trained_network
from torch import nn

from lt_callbacks.dataset_distillation import Distiller
from lt_callbacks.dataset_distillation.distiller import Made

CALLS = []


@dataclass(frozen=True, kw_only=True)
class Grey(Distiller):
    """Grey images; says what it was called with."""

    name: ClassVar[str] = "grey"
    level: int = 7
    area: tuple[float, float] = (0.5, 1.0)

    def _make(self, real, networks, *, images_per_class, seed, on_step):
        CALLS.append((len(networks), images_per_class, seed))
        on_step(1, 1)
        classes = torch.arange(real.num_classes).repeat_interleave(images_per_class)
        images = torch.full((len(classes), *real.pixels.shape[1:]), self.level, dtype=torch.uint8)
        return Made(images=images, intended_class=classes, num_repeated=torch.tensor([0, 2, 1]), facts={"tone": "dark"})


@dataclass(frozen=True, kw_only=True)
class Free(Grey):
    """Likewise, without networks."""

    name: ClassVar[str] = "free"
    needs_networks: ClassVar[bool] = False


def distil(distiller=None, networks=None, **arguments):
    return (distiller or Grey()).distil(
        real_images(),
        [trained_network()] if networks is None else networks,
        **{"images_per_class": 2, "seed": 5, **arguments},
    )


def test_the_set_has_the_images_and_what_networks_need_to_see_them():
    distilled = distil()
    assert distilled.images.shape == (6, 2, 8, 8)
    assert distilled.images.unique().tolist() == [7]
    assert distilled.intended_class.tolist() == [0, 0, 1, 1, 2, 2]
    assert (distilled.class_names, distilled.mean, distilled.std) == (NAMES, MEAN, STD)


def test_provenance_says_how_it_was_made():
    distilled = distil(Grey(level=9), networks=[trained_network()] * 3, provenance={"manifest_sha256": "abc"})
    assert distilled.provenance == {
        "method": "grey",
        "settings": {"level": 9, "area": [0.5, 1.0]},
        "images_per_class": 2,
        "seed": 5,
        "num_networks": 3,
        "real_class_counts": list(COUNTS),
        "num_repeated": [0, 2, 1],
        "tone": "dark",
        "manifest_sha256": "abc",
    }
    json.dumps(distilled.provenance)


def test_numbers_of_numpy_are_numbers():
    settings = Grey(level=np.int64(3), area=(np.float32(0.5), 1.0)).settings()
    assert settings == {"level": 3, "area": [0.5, 1.0]}
    json.dumps(settings)
    distilled = distil(images_per_class=np.int64(1), seed=np.int32(4))
    assert CALLS[-1] == (1, 1, 4)
    assert type(distilled.provenance["seed"]) is int


def test_networks_may_come_as_a_module_list_and_are_not_needed_by_all():
    assert distil(networks=nn.ModuleList([trained_network()])).provenance["num_networks"] == 1
    assert distil(Free(), networks=[]).provenance["num_networks"] == 0


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"networks": []}, ValueError, "`networks` must hold at least one trained network for the distiller 'grey'"),
        ({"networks": trained_network()}, TypeError, "`networks` must be a sequence of modules; got SmallCNN"),
        ({"networks": nn.Sequential(nn.Flatten())}, TypeError, "`networks` must be .* modules; got Sequential"),
        ({"networks": [abs]}, TypeError, "`networks` must be a sequence of modules; got list"),
        ({"images_per_class": 0}, ValueError, "`images_per_class` must be an integer >= 1; got 0"),
        ({"images_per_class": 1.5}, TypeError, "`images_per_class` must be an integer >= 1; got 1.5"),
        ({"seed": -1}, ValueError, "`seed` must be an integer >= 0; got -1"),
        ({"provenance": {"hash": b"abc"}}, TypeError, "`provenance` must be JSON values"),
        ({"provenance": ["abc"]}, TypeError, "`provenance` must be a mapping of JSON values; got list"),
        ({"provenance": {"seed": 9}}, ValueError, "`provenance` must have names other than the set's own; got 'seed'"),
    ],
)
def test_mistakes_are_refused_before_the_work(arguments, error, text):
    CALLS.clear()
    with pytest.raises(error, match=text):
        distil(**arguments)
    assert not CALLS


def test_progress_is_told_where_asked():
    steps = []
    distil(on_step=lambda *step: steps.append(step))
    assert steps == [(1, 1)]
