from __future__ import annotations

import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset, WeightedRandomSampler
from user_project import FunctionDataset, Scale, images_and_labels

from lt_callbacks.data import ClassBalancedSampler, add_index
from lt_callbacks.teachers.loader_description import describe_sampling, describe_transforms

IMAGES, LABELS = images_and_labels()
DATASET = TensorDataset(IMAGES, LABELS)


def weighted(*weights: float) -> WeightedRandomSampler:
    return WeightedRandomSampler(weights * (24 // len(weights)), 24)


SAMPLINGS = {
    "in order": {},
    "shuffled": {"shuffle": True},
    "shuffled without the rest": {"shuffle": True, "drop_last": True},
    "with replacement": {"sampler": torch.utils.data.RandomSampler(DATASET, replacement=True)},
    "half of it": {"sampler": torch.utils.data.RandomSampler(DATASET, num_samples=12)},
    "weighted": {"sampler": weighted(1.0, 2.0)},
    "weighted otherwise": {"sampler": weighted(1.0, 3.0)},
    "class-balanced": {"sampler": ClassBalancedSampler(labels=LABELS)},
}


def described(name: str) -> dict:
    return describe_sampling(DataLoader(DATASET, batch_size=8, **SAMPLINGS[name]))


def test_every_way_to_draw_has_a_description_of_its_own():
    found = [described(name) for name in SAMPLINGS]
    assert all(first != second for place, first in enumerate(found) for second in found[:place])
    assert [described(name) for name in SAMPLINGS] == found


def test_a_description_says_what_it_is_of():
    assert described("shuffled") == {
        "sampler": "RandomSampler",
        "batch_sampler": "BatchSampler",
        "drop_last": False,
        "replacement": False,
        "num_samples": 24,
    }


def test_what_has_no_sampler_has_no_description():
    assert describe_sampling([(IMAGES, LABELS)]) is None


class Transformed(FunctionDataset):
    def __init__(self, transform: object) -> None:
        super().__init__(lambda i: (IMAGES[i], LABELS[i]))
        self.transform = transform


@pytest.mark.parametrize(
    "wrapped", [lambda d: d, lambda d: Subset(d, [0, 1]), lambda d: ConcatDataset([DATASET, d]), add_index]
)
def test_transforms_are_found_in_what_a_dataset_is_made_of(wrapped):
    assert describe_transforms(wrapped(Transformed(Scale(2.0)))) == ["Scale(2.0)"]


def test_addresses_of_transforms_do_not_count():
    class Plain:
        pass

    first, second = (describe_transforms(Transformed(Plain())) for _ in range(2))
    assert first == second
    assert "Plain object" in first[0]


@pytest.mark.parametrize("dataset", [None, DATASET, Transformed(None)])
def test_without_transforms_there_is_none(dataset):
    assert describe_transforms(dataset) is None
