from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, Subset, TensorDataset
from torch.utils.data import WeightedRandomSampler as Weighted
from user_project import FunctionDataset, UserData, images_and_labels

from lt_callbacks.data import add_index
from lt_callbacks.teachers.batch_fields import BatchFields
from lt_callbacks.teachers.training_data import training_data

IMAGES, LABELS = images_and_labels()


class Folder(FunctionDataset):
    """Keeps its labels where torchvision's datasets do, and counts how often a sample is loaded."""

    def __init__(self, targets, target_transform=None) -> None:
        super().__init__(self.sample)
        self.targets, self.target_transform = targets, target_transform
        self.num_loaded = 0

    def sample(self, position: int):
        self.num_loaded += 1
        label = int(self.targets[position])
        return IMAGES[position], self.target_transform(label) if self.target_transform else label


def check_index(source) -> None:
    """Every batch's index names the image and the label that stand beside it; an epoch has each sample once."""
    seen = []
    for batch in source.loader:
        (images, labels), index = batch if source.adds_positions else (batch[:2], source.fields.index(batch))
        assert index.dtype == torch.int64
        assert torch.equal(images[:, 0, 0, 0], index.float())
        assert torch.equal(labels, LABELS[index])
        seen += index.tolist()
    assert sorted(seen) == list(range(24))
    assert source.num_samples == 24


def test_what_the_datamodule_does_not_say_is_read_off_its_batches():
    data = training_data(UserData())
    assert data.class_counts.tolist() == torch.bincount(LABELS).tolist()
    assert (data.num_samples, data.num_classes, data.batch_size) == (24, 3, 8)
    assert data.fingerprint == training_data(UserData()).fingerprint


def test_what_the_datamodule_says_is_taken():
    datamodule = UserData(FunctionDataset(lambda position: 1 / 0))
    datamodule.class_counts, datamodule.num_samples = np.array([5, 3, 2, 0]), 100
    datamodule.fingerprint = "f" * 64
    data = training_data(datamodule)
    assert data.class_counts.tolist() == [5, 3, 2, 0]
    assert (data.num_samples, data.num_classes, data.fingerprint) == (100, 4, "f" * 64)


def test_the_hooks_of_the_datamodule_are_called_first():
    class Late(UserData):
        def __init__(self) -> None:
            super().__init__()
            self.called = []

        def prepare_data(self) -> None:
            self.called.append("prepare_data")

        def setup(self, stage: str) -> None:
            self.called.append(stage)
            self.dataset = TensorDataset(IMAGES[:10], LABELS[:10])

    datamodule = Late()
    assert training_data(datamodule).num_samples == 10
    assert datamodule.called == ["prepare_data", "fit"]


@pytest.mark.parametrize("kind", [list, np.asarray, torch.as_tensor])
def test_labels_that_a_dataset_keeps_are_read_without_loading_images(kind):
    dataset = Folder(kind(LABELS.tolist()))
    assert training_data(UserData(dataset)).class_counts.tolist() == torch.bincount(LABELS).tolist()
    assert dataset.num_loaded == 0


def test_kept_labels_that_are_changed_on_the_way_are_not_trusted():
    dataset = Folder(LABELS.tolist(), target_transform=lambda label: 2 - label)
    assert training_data(UserData(dataset)).class_counts.tolist() == torch.bincount(2 - LABELS).tolist()


def test_a_class_without_a_training_sample_is_counted_where_it_is_known():
    datamodule = UserData(TensorDataset(IMAGES, LABELS.clamp_max(1)))
    assert training_data(datamodule).num_classes == 2
    datamodule.num_classes = 4
    data = training_data(datamodule)
    assert data.num_classes == 4
    assert data.class_counts.tolist()[2:] == [0, 0]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": False},
        {"batch_size": 7},
        {"num_workers": 1},
        {"sampler": RandomSampler(range(24)), "shuffle": None},
        {"batch_sampler": BatchSampler(RandomSampler(range(24)), 5, False), "batch_size": 1, "shuffle": None},
    ],
)
def test_an_index_is_added_and_follows_the_sampler(options):
    source = training_data(UserData(**options)).indexed()
    orders = []
    for _ in range(2):
        check_index(source)
        orders.append(torch.cat([index for _, index in source.loader]).tolist())
    assert (orders[0] == orders[1]) == (options.get("shuffle", True) is False)


def test_without_need_the_loader_is_the_users_own():
    class OwnData(UserData):
        def train_dataloader(self):
            self.loader = super().train_dataloader()
            return self.loader

    datamodule = OwnData()
    data = training_data(datamodule)
    assert data.as_it_is().loader is datamodule.loader
    assert data.indexed().loader is not datamodule.loader


def test_dropped_and_drawn_samples_stay_so():
    dropped = training_data(UserData(batch_size=7, drop_last=True)).indexed().loader
    assert [len(index) for _, index in dropped] == [7, 7, 7]
    weights = torch.zeros(24)
    weights[[3, 4]] = 1
    drawn = training_data(UserData(sampler=Weighted(weights, 16), shuffle=None)).indexed().loader
    assert {int(i) for _, index in drawn for i in index} == {3, 4}


def test_the_position_is_that_in_the_subset_that_is_trained_on():
    subset = Subset(TensorDataset(IMAGES, LABELS), list(range(10, 24)))
    source = training_data(UserData(subset)).indexed()
    assert source.num_samples == 14
    for (images, _), index in source.loader:
        assert torch.equal(images[:, 0, 0, 0], index.float() + 10)


def test_what_a_collate_function_of_the_users_own_makes_is_left_whole():
    def collate(samples):
        images, labels = zip(*samples, strict=True)
        return {"image": torch.stack(images), "label": torch.tensor(labels), "names": ["x"] * len(samples)}

    source = training_data(UserData(collate_fn=collate)).indexed()
    for batch, index in source.loader:
        assert set(batch) == {"image", "label", "names"}
        assert torch.equal(batch["image"][:, 0, 0, 0], index.float())


@pytest.mark.parametrize("third", [torch.arange(24) + 100, LABELS, torch.rand(24), torch.rand(24, 2)])
def test_a_third_item_is_no_index_unless_it_is_named(third):
    """A true label or a flag, say: positions are added beside the batch, which stays as it is."""
    source = training_data(UserData(TensorDataset(IMAGES, LABELS, third))).indexed()
    assert source.adds_positions
    assert source.num_samples == 24
    for (images, _, beside), index in source.loader:
        assert torch.equal(images[:, 0, 0, 0], index.float())
        assert torch.equal(beside, third[index])


def test_an_index_that_is_named_is_used():
    whole = TensorDataset(IMAGES, LABELS, torch.arange(24) + 100)
    source = training_data(UserData(whole), BatchFields(index_from=2)).indexed()
    assert (source.adds_positions, source.num_samples) == (False, 124)
    for batch in source.loader:
        assert torch.equal(batch[0][:, 0, 0, 0] + 100, source.fields.index(batch).float())
    mapping = FunctionDataset(lambda i: {"image": IMAGES[i], "label": LABELS[i], "index": i + 7})
    source = training_data(UserData(mapping)).indexed()
    assert (source.adds_positions, source.num_samples) == (False, 31)
    with pytest.raises(
        ValueError, match=r"`index_from` must name the samples' positions .* got torch.float32 of shape"
    ):
        training_data(UserData(TensorDataset(IMAGES, LABELS, torch.rand(24))), BatchFields(index_from=2)).indexed()


def test_the_index_of_this_packages_own_datasets_is_used():
    whole = add_index(TensorDataset(IMAGES, LABELS))
    check_index(training_data(UserData(whole)).indexed())
    assert not training_data(UserData(whole)).indexed().adds_positions
    part = training_data(UserData(Subset(whole, range(10, 24)))).indexed()
    # The memory has room for the largest index, which is that in the whole.
    assert (part.adds_positions, part.num_samples) == (False, 24)


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(IMAGES, LABELS, strict=True)


def test_a_stream_has_counts_but_no_positions():
    datamodule = UserData(Stream(), shuffle=None)
    data = training_data(datamodule)
    assert data.class_counts.tolist() == torch.bincount(LABELS).tolist()
    assert data.num_samples == 24
    assert data.fingerprint is None
    with pytest.raises(ValueError, match="remembers every sample.*a DataLoader over Stream with batch_size=8 to which"):
        data.indexed()


def test_a_dataset_of_whole_batches_has_no_positions():
    batches = FunctionDataset(lambda i: (IMAGES[8 * i : 8 * i + 8], LABELS[8 * i : 8 * i + 8]), num_samples=3)
    data = training_data(UserData(batches, batch_size=None, shuffle=False))
    assert data.batch_size is None
    with pytest.raises(ValueError, match="over FunctionDataset with batch_size=None to which none can be added. Yield"):
        data.indexed()


def test_a_loader_of_the_users_own_making_may_bring_its_index():
    class OwnLoader:
        def __init__(self, with_index: bool) -> None:
            self.with_index = with_index

        def __iter__(self):
            loader = DataLoader(TensorDataset(IMAGES, LABELS, torch.arange(24)), batch_size=8)
            yield from (batch if self.with_index else batch[:2] for batch in loader)

    class OwnData(UserData):
        def train_dataloader(self):
            return OwnLoader(self.options["with_index"])

    data = training_data(OwnData(with_index=True), BatchFields(index_from=2))
    assert data.num_samples == 24
    assert data.batch_size is None
    check_index(data.indexed())
    with pytest.raises(ValueError, match="remembers every sample.*, and a OwnLoader to which none can be added"):
        training_data(OwnData(with_index=True)).indexed()


def test_the_batch_size_of_a_batch_sampler_is_found():
    sampler = BatchSampler(RandomSampler(range(24)), 5, False)
    assert training_data(UserData(batch_sampler=sampler, batch_size=1, shuffle=None)).batch_size == 5


@pytest.mark.parametrize(
    ("item", "got"),
    [
        (lambda i: {"image": IMAGES[i], "given": LABELS[i]}, r"a dict with keys \['image', 'given'\]"),
        (lambda i: (IMAGES[i],), r"a list of \['Tensor'\]"),
        (lambda i: (IMAGES[i], str(i)), r"a list of \['Tensor', 'tuple'\]"),
    ],
)
def test_batches_of_another_form_are_refused(item, got):
    with pytest.raises(
        ValueError,
        match=rf"`datamodule` must give .* that hold \(image, label\) tensors; got {got}. Name the item by `label_from`",
    ):
        training_data(UserData(FunctionDataset(item)))


def test_named_places_are_looked_at():
    items = FunctionDataset(lambda i: {"name": str(i), "pixels": IMAGES[i], "given": LABELS[i]})
    named = BatchFields(images_from="pixels", label_from="given")
    assert training_data(UserData(items), named).class_counts.tolist() == torch.bincount(LABELS).tolist()
    with pytest.raises(
        ValueError, match=r"`label_from` must name a tensor in the batches; got NoneType from 'y' in a d"
    ):
        training_data(UserData(items), BatchFields(images_from="pixels", label_from="y"))
    with pytest.raises(
        TypeError, match=r"`images_from` must be a position or key of the batch, or None; got 1.5. Pass"
    ):
        BatchFields(images_from=1.5)


@pytest.mark.parametrize(
    ("labels", "got"),
    [
        (LABELS - 1, r"torch.int64 of shape \(24,\), least -1"),
        (LABELS.float(), r"torch.float32 of shape \(24,\)\."),
        (torch.nn.functional.one_hot(LABELS), r"torch.int64 of shape \(24, 3\)\."),
    ],
)
def test_labels_that_are_no_class_numbers_are_refused(labels, got):
    with pytest.raises(
        ValueError, match=f"`datamodule` must have class numbers >= 0 as training labels, one a sample; got {got}"
    ):
        training_data(UserData(TensorDataset(IMAGES, labels)))


def test_only_datamodules_are_datamodules():
    with pytest.raises(TypeError, match="`datamodule` must be a LightningDataModule; got DataLoader. Pass"):
        training_data(UserData().train_dataloader())


def test_samples_without_a_label_are_counted_for_no_class():
    """They have -100, as for torch's own cross-entropy, and take no part in the objectives."""
    labels = LABELS.clone()
    labels[:5] = -100
    data = training_data(UserData(TensorDataset(IMAGES, labels)))
    assert data.class_counts.tolist() == torch.bincount(LABELS[5:], minlength=3).tolist()
    assert data.num_samples == 24
