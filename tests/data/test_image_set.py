from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lt_callbacks.data import ImageSet, Source


def grey(num_images: int, *, height: int = 2, width: int = 3) -> torch.Tensor:
    return torch.zeros(num_images, 1, height, width, dtype=torch.uint8)


def source(**changes: object) -> Source:
    settings = {
        "name": "toy",
        "train": ImageSet(images=grey(3), labels=np.array([0, 1, 1])),
        "class_names": ("a", "b"),
        "mean": (0.5,),
        "std": (0.25,),
    }
    return Source(**{**settings, **changes})


def test_labels_become_int64_and_paths_become_paths():
    part = ImageSet(images=["x/a.png", Path("b.png")], labels=np.array([0, 1], dtype=np.uint8))
    assert part.labels.dtype == np.int64
    assert part.images == (Path("x/a.png"), Path("b.png"))
    assert part.num_channels == 3
    assert len(part) == 2


def test_take_keeps_the_kind():
    images = torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1)
    part = ImageSet(images=images, labels=np.zeros(4, dtype=int))
    assert part.take(np.array([1, 3])).flatten().tolist() == [1, 3]
    assert part.take(np.arange(4)) is part.images
    files = ImageSet(images=["a", "b", "c"], labels=np.zeros(3, dtype=int))
    assert files.take(np.array([0, 2])) == (Path("a"), Path("c"))


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (
            grey(2),
            [0.0, 1.0],
            TypeError,
            r"`labels` must be a vector of integers; got shape \(2,\), dtype float64. Pass",
        ),
        (grey(2), [[0, 1]], TypeError, r"`labels` must be a vector of integers; got shape \(1, 2\)"),
        (grey(2), [0], ValueError, "`images` must be as many as `labels`; got 2 and 1. Pass one label"),
        (grey(0), np.zeros(0, dtype=int), ValueError, "`labels` must hold at least one sample; got none"),
        (grey(2), [0, -1], ValueError, "`labels` must be >= 0; got -1 at position 1. Remove unlabelled"),
        (grey(2).float(), [0, 1], TypeError, r"`images` must be a uint8 tensor \(N, C, H, W\); got torch.float32"),
        (grey(2)[:, 0], [0, 1], TypeError, r"`images` must be a uint8 tensor .*; got torch.uint8, shape \(2, 2, 3\)"),
        (np.zeros((2, 1, 2, 2)), [0, 1], TypeError, "or a sequence of file paths; got ndarray. Use torch.from_numpy"),
        ("ab", [0, 1], TypeError, "or a sequence of file paths; got str"),
        ([Path("a"), 3], [0, 1], TypeError, "or a sequence of file paths; got int"),
    ],
)
def test_image_sets_that_do_not_fit_are_refused(images: object, labels: object, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        ImageSet(images=images, labels=np.array(labels))


def test_shapes_follow_from_images_in_memory():
    assert source().image_size == (2, 3)
    assert source().image_shape == (1, 2, 3)
    assert source().num_classes == 2


def test_files_are_rgb_of_the_size_asked_for():
    files = ImageSet(images=["a.png"], labels=np.array([0]))
    colour = {"train": files, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    assert source(**colour, image_size=8).image_shape == (3, 8, 8)
    assert source(**colour, image_size=(8, 6)).image_shape == (3, 8, 6)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": ""}, ValueError, "`name` must be a non-empty string; got ''"),
        (
            {"class_names": ("a",)},
            ValueError,
            "`train` must have labels below the number of `class_names`, 1; got 1 at position 1",
        ),
        (
            {"test": ImageSet(images=grey(1), labels=np.array([2]))},
            ValueError,
            "`test` must have labels below the number of `class_names`, 2; got 2 at position 0. Name every class",
        ),
        (
            {"test": ImageSet(images=grey(1, height=5), labels=np.array([0]))},
            ValueError,
            r"`test` must hold images like `train`'s, tensors \(1, 2, 3\); got tensors \(1, 5, 3\)",
        ),
        (
            {"test": ImageSet(images=["a"], labels=np.array([0]))},
            ValueError,
            "`test` must hold images like .*; got files",
        ),
        ({"mean": (0.5,) * 3}, ValueError, "`mean` must have one value a channel, 1; got 3. Pass a tuple"),
        ({"std": ()}, ValueError, "`std` must have one value a channel, 1; got 0"),
        ({"std": (0.0,)}, ValueError, "`std` must be a finite number > 0; got 0.0"),
        ({"mean": (125.0,)}, ValueError, "`mean` must be a finite number >= 0 and <= 1; got 125.0"),
        ({"crop_padding": -1}, ValueError, "`crop_padding` must be an integer >= 0; got -1"),
        ({"flip": "yes"}, TypeError, "`flip` must be True or False; got 'yes'"),
        ({"image_size": 8}, ValueError, r"`image_size` must be that of the images in memory, \(2, 3\); got \(8, 8\)"),
        (
            {"image_size": (2, 3, 1)},
            ValueError,
            r"`image_size` must be one number or \(height, width\); got \(2, 3, 1\)",
        ),
        ({"image_size": 0}, ValueError, "`image_size` must be an integer >= 1; got 0"),
        (
            {"train": ImageSet(images=["a"], labels=np.array([0])), "mean": (0.5,) * 3, "std": (0.5,) * 3},
            ValueError,
            "`image_size` must be given for image files; got None. Pass the side in pixels",
        ),
    ],
)
def test_sources_that_do_not_fit_are_refused(changes: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        source(**changes)
