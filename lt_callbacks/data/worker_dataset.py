from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._pictures import read_picture
from lt_callbacks.data.augment import BatchView
from lt_callbacks.data.epoch_loader import Batch
from lt_callbacks.data.image_file import CENTER_RESIZE, center_crop, random_resized_crop
from lt_callbacks.data.order import BatchKey

FILE_CROPS = ("random", "center", "fit")


class WorkerDataset(Dataset[Batch]):
    """A dataset whose items are whole batches, by `BatchKey`, for data that worker processes read.

    The key carries the epoch, so that a view depends on (seed, epoch, index) in whichever worker it is made. Image
    files are read by `read_picture`.

    Args:
        images: By index: paths of image files, or a (N, C, H, W) uint8 tensor that is too large for the device.
        labels: (N,) int64, by index.
        image_size: Height and width given out.
        view: From decoded images to those of a batch, on the CPU.
        file_crop: What is cut from an image file before ``view``. ``"random"``: a random resized crop. ``"center"``:
            the centre of the image resized to 256 / 224 of ``image_size``. ``"fit"``: as large a centre as fits.
    """

    def __init__(
        self,
        *,
        images: Tensor | tuple[Path, ...],
        labels: Tensor,
        image_size: tuple[int, int],
        view: BatchView,
        file_crop: str,
    ) -> None:
        if len(images) != len(labels):
            raise ArgumentValueError(
                "images",
                rule="be as many as `labels`",
                got=f"{len(images)} and {len(labels)}",
                way_out="Pass one label for each image.",
            )
        self.file_crop = one_of("file_crop", file_crop, FILE_CROPS)
        self.images, self.labels, self.image_size, self.view = images, labels, image_size, view

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, key: BatchKey) -> Batch:
        epoch, index = key
        if isinstance(self.images, Tensor):
            stored = self.images.index_select(0, index)
        else:
            stored = torch.stack([self._read(self.images[position], position, epoch) for position in index.tolist()])
        return self.view(stored, index, epoch=epoch), self.labels.index_select(0, index), index

    def _read(self, path: Path, index: int, epoch: int) -> Tensor:
        image = read_picture(path)
        if self.file_crop == "random":
            return random_resized_crop(image, self.image_size, index=index, seed=self.view.seed, epoch=epoch)
        return center_crop(image, self.image_size, resize=CENTER_RESIZE if self.file_crop == "center" else 1.0)
