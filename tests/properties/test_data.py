from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from inputs import labels, mistakes, mostly, seeds
from outcomes import REFUSED, outcome

from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import (
    ClassBalance,
    ClassBalancedSampler,
    EpochOrder,
    ImageSet,
    IndexedDataset,
    LongTailedDataModule,
    Source,
    add_index,
    hold_out_test,
)


def source(label_values, test=None, **changes) -> Source:
    images = torch.zeros(len(label_values), 1, 2, 2, dtype=torch.uint8)
    train = ImageSet(images=images, labels=label_values)
    names = tuple(str(number) for number in range(int(max(label_values)) + 1))
    return Source(
        **{"name": "toy", "train": train, "test": test, "class_names": names, "mean": (0.5,), "std": (0.5,), **changes}
    )


every_class = st.integers(2, 5).flatmap(
    lambda classes: st.lists(st.integers(0, classes - 1), max_size=40).map(lambda more: [*range(classes), *more])
)


@given(data=st.data(), size=st.integers(1, 60), num_classes=st.integers(1, 9), balance=st.floats(0, 1), seed=seeds)
def test_draws_are_samples_and_depend_on_seed_and_epoch_alone(data, size, num_classes, balance, seed):
    given_label = data.draw(labels(size, num_classes))
    balanced = ClassBalance(labels=given_label, balance=balance)
    draws = balanced.draws(seed=seed, epoch=3)
    assert draws.shape == (size,)
    assert bool(((draws >= 0) & (draws < size)).all())
    assert torch.equal(draws, ClassBalance(labels=given_label, balance=balance).draws(seed=seed, epoch=3))
    sampler = ClassBalancedSampler(labels=given_label.tolist(), balance=balance, seed=seed)
    sampler.set_epoch(3)
    assert sorted(sampler) == sorted(draws.tolist())


@given(
    size=st.integers(1, 60), batch_size=st.integers(1, 9), ranks=st.integers(1, 4), seed=seeds, shuffle=st.booleans()
)
def test_ranks_share_out_every_sample_once_in_equally_many_steps(size, batch_size, ranks, seed, shuffle):
    orders = [
        outcome(
            EpochOrder,
            indices=torch.arange(size),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            num_replicas=ranks,
            rank=rank,
        )
        for rank in range(ranks)
    ]
    if orders[0] is REFUSED:
        assert size < ranks
        return
    parts = [[key.samples for key in order] for order in orders]
    assert {len(part) for part in parts} == {len(orders[0])}
    assert sorted(torch.cat([batch for part in parts for batch in part]).tolist()) == list(range(size))


@given(label_values=every_class, fraction=st.floats(0.01, 0.9))
def test_a_held_out_test_set_takes_samples_and_leaves_every_class(label_values, fraction):
    whole = source(label_values)
    found = outcome(hold_out_test, whole, fraction=fraction)
    if found is not REFUSED:
        parts = np.concatenate([found.train.labels, found.test.labels])
        assert sorted(parts) == sorted(label_values)
        assert set(found.train.labels) == set(label_values)


@given(
    label_values=every_class,
    factor=st.floats(1, 3),
    ratio=st.floats(0, 0.9),
    fraction=st.floats(0, 0.5),
    seed=st.integers(0, 99),
)
def test_a_datamodule_splits_what_its_manifest_says(label_values, factor, ratio, fraction, seed):
    module = outcome(
        LongTailedDataModule,
        source=source(label_values),
        imbalance=Imbalance(factor=factor),
        noise=Noise(kind="symmetric", ratio=ratio),
        validation_fraction=fraction,
        corruption_seed=seed,
        num_workers=0,
        also=("imbalance_factor",),
    )
    if module is REFUSED:
        return
    both = np.sort(np.concatenate([module.train_indices, module.val_indices]))
    assert (both == np.arange(module.num_samples)).all()
    assert (
        module.class_counts == np.bincount(module.given_labels[module.train_indices], minlength=module.num_classes)
    ).all()
    assert module.manifest.num_changed == int((module.given_labels != module.true_labels).sum())


DATAMODULE = {
    "source": source([0, 1, 0, 1, 1, 0]),
    "imbalance": None,
    "noise": None,
    "corruption_seed": 0,
    "seed": 0,
    "manifest": None,
    "validation_fraction": 0.1,
    "batch_size": 2,
    "eval_batch_size": 2,
    "augment": True,
    "residence": "auto",
    "num_workers": 0,
    "sampling": "shuffled",
}


@given(name=st.sampled_from(sorted(DATAMODULE)), value=mistakes)
def test_any_setting_of_a_datamodule_is_taken_or_named(name, value):
    # The path of a manifest that is not there is named as such.
    also = ("path", "class_order", "imbalance_factor")
    outcome(LongTailedDataModule, **{**DATAMODULE, name: value}, also=also)


@given(
    images=mostly(st.just(torch.zeros(3, 1, 2, 2, dtype=torch.uint8))),
    values=mostly(st.just([0, 1, 1])),
)
def test_any_images_and_labels_are_a_set_or_named(images, values):
    outcome(ImageSet, images=images, labels=values)


@given(
    changes=st.dictionaries(
        st.sampled_from(["name", "class_names", "mean", "std", "crop_padding", "flip", "image_size", "train", "test"]),
        mistakes,
        min_size=1,
        max_size=2,
    )
)
def test_any_fields_of_a_source_are_kept_or_named(changes):
    train = ImageSet(images=torch.zeros(3, 1, 2, 2, dtype=torch.uint8), labels=[0, 1, 1])
    fields = {"name": "toy", "train": train, "class_names": ("a", "b"), "mean": (0.5,), "std": (0.5,), **changes}
    outcome(Source, **fields)


@given(first=mistakes, second=mostly(st.none()))
def test_any_source_or_fraction_of_a_held_out_test_set_is_named(first, second):
    outcome(hold_out_test, first)
    outcome(hold_out_test, source([0, 0, 1, 1]), fraction=second)


@given(given_label=mistakes, balance=mostly(st.just(1.0)), seed=mostly(st.just(0)))
def test_any_arguments_of_the_samplers_are_taken_or_named(given_label, balance, seed):
    outcome(ClassBalance, labels=given_label, balance=balance)
    outcome(ClassBalancedSampler, labels=given_label, balance=balance, seed=seed)


@given(
    changes=st.dictionaries(
        st.sampled_from(["indices", "batch_size", "shuffle", "seed", "num_replicas", "rank", "class_balance"]),
        mistakes,
        min_size=1,
        max_size=2,
    )
)
def test_any_arguments_of_an_order_are_taken_or_named(changes):
    outcome(EpochOrder, **{"indices": torch.arange(5), "batch_size": 2, "shuffle": True, **changes})


@given(dataset=mistakes)
def test_a_dataset_is_map_style_or_named(dataset):
    found = outcome(add_index, dataset)
    assert found is REFUSED or isinstance(found, IndexedDataset)
