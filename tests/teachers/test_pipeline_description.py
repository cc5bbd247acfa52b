from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset
from user_project import UserData, UserNet, images_and_labels

from lt_callbacks.data import add_index
from lt_callbacks.teachers.batch_fields import BatchFields
from lt_callbacks.teachers.pipeline_description import describe_pipeline
from lt_callbacks.teachers.training_data import training_data

IMAGES, LABELS = images_and_labels()


def describe(network=None, datamodule=None, fields=None, *, trainer=None, needs_index=True):
    data = training_data(datamodule or UserData(), fields)
    return describe_pipeline(network or UserNet(), data, trainer or {}, needs_index=needs_index)


def test_of_plain_batches_and_no_hooks_nothing_is_said():
    """The keys of teachers that were stored before stay as they are."""
    assert describe(trainer={"limit_val_batches": 3}) is None
    assert describe(datamodule=UserData(add_index(TensorDataset(IMAGES, LABELS)))) is None


def test_hooks_places_and_the_validation_are_named():
    class Net(UserNet):
        def on_after_batch_transfer(self, batch, dataloader_idx):
            return batch

        def optimizer_step(self, *args, **kwargs):
            super().optimizer_step(*args, **kwargs)

    class Data(UserData):
        def setup(self, stage):
            pass

        def val_dataloader(self):
            return DataLoader(self.dataset)

    found = describe(Net(), Data(), BatchFields(images_from=0), trainer={"limit_val_batches": 3, "max_epochs": 2})
    assert found == {
        "module": ["on_after_batch_transfer", "optimizer_step"],
        "datamodule": ["val_dataloader"],
        "fields": {"images_from": 0},
        "validation": {"limit_val_batches": 3},
    }


def test_a_third_item_that_was_taken_for_the_index_makes_another_teacher():
    third = UserData(TensorDataset(IMAGES, LABELS, LABELS))
    network, data = UserNet(), training_data(third)
    before = torch.get_rng_state()
    assert describe_pipeline(network, data, {}, needs_index=True) == {"index": "positions"}
    # A batch was looked at, and nothing drawn for it.
    assert torch.equal(torch.get_rng_state(), before)
    assert describe(datamodule=third, needs_index=False) is None
    assert describe(datamodule=third, fields=BatchFields(index_from=2)) == {"fields": {"index_from": 2}}
