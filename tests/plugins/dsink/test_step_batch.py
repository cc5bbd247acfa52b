"""With `logits_from` the teachers see what the network saw; an index is taken where it is certain."""

from __future__ import annotations

import pytest
import small_modules as m
import torch
from lightning.pytorch import LightningDataModule
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Subset

from lt_callbacks import DSink, DSinkCallback, DSinkMixin
from lt_callbacks.data import add_index
from lt_callbacks.teachers import FrozenTeacher


class Spy(FrozenTeacher):
    """Keeps what it is shown."""

    num_classes = m.NUM_CLASSES

    def __init__(self, *, needs_index: bool = False) -> None:
        self.images, self.index, self.needs_index = [], [], needs_index

    def log_probs(self, images, index=None, *, dtype=None):
        self.images.append(images)
        self.index.append(index)
        return torch.zeros(len(images), m.NUM_CLASSES).log_softmax(1)


class Normalises(m.ReturnsTensor):
    """The step changes the images before they go to the network."""

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(batch[0] / 2 - 1), batch[1])


class Hooked(m.ReturnsTensor):
    def on_after_batch_transfer(self, batch, dataloader_idx):
        return [batch[0] / 2 - 1, batch[1]]


class HeadOnFeatures(m.ReturnsTensor):
    """Its forward is not given images."""

    def forward(self, features):
        return self.head(features.flatten(1))

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self(torch.tanh(self.body(batch[0]))[:, :, None]), batch[1])


def shown(kind, form, dataset=None, *, needs_index=False, **settings):
    """Images and indices that the teachers were given in one epoch."""
    spy = Spy(needs_index=needs_index)
    add = DSink(noise_teacher=spy, imbalance_teacher=m.teachers()[1], **settings)
    loader = m.DataLoader(dataset or m.data(2), batch_size=m.BATCH)
    if form == "callback":
        m.trainer(callbacks=[DSinkCallback(add)]).fit(m.fresh(kind), loader)
    else:
        module = m.fresh(type("Robust", (DSinkMixin, kind), {}))
        module.attach_dsink(add)
        m.trainer().fit(module, loader)
    return torch.cat(spy.images), spy.index


@pytest.mark.parametrize("form", ["callback", "mixin"])
@pytest.mark.parametrize("logits_from", [None, "head"])
@pytest.mark.parametrize("kind", [Normalises, Hooked])
def test_teachers_see_what_the_network_saw(kind, logits_from, form):
    images, _ = shown(kind, form, logits_from=logits_from)
    torch.testing.assert_close(images, m.data(2).tensors[0] / 2 - 1)


@pytest.mark.parametrize("form", ["callback", "mixin"])
def test_named_images_that_the_step_changes_are_an_error(form):
    with pytest.raises(RuntimeError, match="`images_from` must name the images that the network sees; 0 holds others"):
        shown(Normalises, form, logits_from="head", images_from=0)
    images, _ = shown(Hooked, form, logits_from="head", images_from=0)
    torch.testing.assert_close(images, m.data(2).tensors[0] / 2 - 1)


def test_a_forward_that_is_given_features_says_nothing_of_the_images():
    for images_from in (None, 0):
        images, _ = shown(HeadOnFeatures, "callback", logits_from="head", images_from=images_from)
        assert torch.equal(images, m.data(2).tensors[0])


@pytest.mark.parametrize("third", ["label", "position"])
def test_a_third_item_is_no_index(third):
    x, y = m.data(2).tensors
    dataset = m.TensorDataset(x, y, y if third == "label" else torch.arange(len(x)))
    assert shown(m.ReturnsTensor, "callback", dataset)[1] == [None, None]
    with pytest.raises(
        RuntimeError, match=r"`index_from` must name the samples' index .*DSink\(index_from=\.\.\.\), or w"
    ):
        shown(m.ReturnsTensor, "callback", dataset, needs_index=True)


def test_a_third_item_that_is_named_is_one():
    x, y = m.data(2).tensors
    dataset = m.TensorDataset(x, y, torch.arange(len(x)) + 5)
    _, index = shown(m.ReturnsTensor, "callback", dataset, needs_index=True, index_from=2)
    assert torch.cat(index).tolist() == list(range(5, 5 + len(x)))


def test_the_key_index_of_a_mapping_is_one():
    class Mapped(m.ReturnsTensor):
        def training_step(self, batch, batch_idx):
            return F.cross_entropy(self(batch["image"]), batch["label"])

    x, y = m.data(2).tensors
    items = [{"image": image, "label": label, "index": i} for i, (image, label) in enumerate(zip(x, y, strict=True))]
    _, index = shown(Mapped, "callback", items, needs_index=True)
    assert torch.cat(index).tolist() == list(range(len(x)))


def test_each_loader_is_asked_whether_its_third_item_is_the_index():
    x, y = m.data(2).tensors

    class Changing(LightningDataModule):
        def train_dataloader(self):
            is_first = self.trainer.current_epoch == 0
            dataset = add_index(m.data(2)) if is_first else m.TensorDataset(x, y, y)
            return m.DataLoader(dataset, batch_size=len(x))

    spy = Spy()
    callback = DSinkCallback(DSink(noise_teacher=spy, imbalance_teacher=m.teachers()[1]))
    trainer = m.trainer(callbacks=[callback], max_epochs=2, reload_dataloaders_every_n_epochs=1)
    trainer.fit(m.fresh(m.ReturnsTensor), Changing())
    first, second = spy.index
    assert first.tolist() == list(range(len(x)))
    assert second is None


class Another(nn.Module):
    """A wrapper of a user's own, which may put anything third."""

    def __init__(self, dataset):
        super().__init__()
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, position):
        return (*self.dataset[position][:2], 0)


def test_this_packages_own_datasets_give_one_and_wrappers_of_others_do_not():
    whole = add_index(m.data(2))
    for dataset, expected in ((whole, range(32)), (Subset(whole, range(8, 32)), range(8, 32))):
        _, index = shown(m.ReturnsTensor, "callback", dataset, needs_index=True)
        assert torch.cat(index).tolist() == list(expected)
    assert shown(m.ReturnsTensor, "callback", Another(whole))[1] == [None, None]
