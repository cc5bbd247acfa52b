"""Named data sets and the user's own, one file each: what is on disk -> a clean `Source`."""

from collections.abc import Callable

from lt_callbacks.data.image_set import Source
from lt_callbacks.data.sources.arrays import arrays
from lt_callbacks.data.sources.cifar10 import cifar10
from lt_callbacks.data.sources.cifar100 import cifar100
from lt_callbacks.data.sources.csv_file import csv_file
from lt_callbacks.data.sources.digits import digits
from lt_callbacks.data.sources.fashion_mnist import fashion_mnist
from lt_callbacks.data.sources.image_folder import image_folder
from lt_callbacks.data.sources.mnist import mnist

#: Every source by its name in configs.
SOURCES: dict[str, Callable[..., Source]] = {
    source.__name__: source
    for source in (digits, arrays, image_folder, csv_file, cifar10, cifar100, mnist, fashion_mnist)
}

#: Sources of the user's own labels, of which nobody knows which are wrong unless the user says so.
OWN_DATA = ("arrays", "csv_file", "image_folder")

__all__ = [
    "OWN_DATA",
    "SOURCES",
    "arrays",
    "cifar10",
    "cifar100",
    "csv_file",
    "digits",
    "fashion_mnist",
    "image_folder",
    "mnist",
]
