"""Named data sets and the user's own -> data modules of ``(image, given_label, index)``."""

from lt_callbacks.data.augment import BatchView
from lt_callbacks.data.class_balance import ClassBalance
from lt_callbacks.data.class_balanced_sampler import ClassBalancedSampler
from lt_callbacks.data.datamodule import LongTailedDataModule
from lt_callbacks.data.device_loader import DeviceLoader
from lt_callbacks.data.epoch_loader import EpochLoader
from lt_callbacks.data.fingerprint import source_sha256
from lt_callbacks.data.held_out_test import TEST_FRACTION, hold_out_test
from lt_callbacks.data.image_set import ImageSet, Source
from lt_callbacks.data.indexed_dataset import IndexedDataset, add_index
from lt_callbacks.data.order import BatchKey, EpochOrder
from lt_callbacks.data.sources import (
    OWN_DATA,
    SOURCES,
    arrays,
    cifar10,
    cifar100,
    csv_file,
    digits,
    fashion_mnist,
    image_folder,
    mnist,
)
from lt_callbacks.data.worker_dataset import WorkerDataset
from lt_callbacks.data.worker_loader import WorkerLoader

__all__ = [
    "OWN_DATA",
    "SOURCES",
    "TEST_FRACTION",
    "BatchKey",
    "BatchView",
    "ClassBalance",
    "ClassBalancedSampler",
    "DeviceLoader",
    "EpochLoader",
    "EpochOrder",
    "ImageSet",
    "IndexedDataset",
    "LongTailedDataModule",
    "Source",
    "WorkerDataset",
    "WorkerLoader",
    "add_index",
    "arrays",
    "cifar10",
    "cifar100",
    "csv_file",
    "digits",
    "fashion_mnist",
    "hold_out_test",
    "image_folder",
    "mnist",
    "source_sha256",
]
