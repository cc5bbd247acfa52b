import dataclasses
import hashlib
import pickle

import pytest
import torch
from small_sets import NAMES, random_images, small_set

from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.distilled_set.distilled_set import checked_set


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_set_comes_back_from_disk_in_every_bit(tmp_path, dtype, channels):
    distilled = small_set(random_images(channels=channels, height=5, width=7, dtype=dtype), std=(1 / 3,) * channels)
    assert distilled.save(tmp_path / "set") == tmp_path / "set"
    found = DistilledSet.load(tmp_path / "set")
    assert found.images.dtype == dtype
    assert torch.equal(found.images.view(torch.uint8), distilled.images.view(torch.uint8))
    assert torch.equal(found.intended_class, distilled.intended_class)
    for name in ("class_names", "mean", "std", "provenance", "sha256", "num_classes", "image_shape"):
        assert getattr(found, name) == getattr(distilled, name)
    assert found.image_shape == (channels, 5, 7)


def test_class_counts_are_those_of_the_intended_classes():
    distilled = small_set(intended_class=torch.tensor([0, 1, 2, 3, 3, 3, 3, 2, 2, 1, 3, 3]))
    assert distilled.class_counts.tolist() == [1, 2, 3, 6]
    assert len(distilled) == 12


def test_the_hash_is_that_of_the_content_and_not_of_its_provenance():
    distilled = small_set()
    assert small_set(provenance={"other": 1}).sha256 == distilled.sha256
    assert small_set(provenance={"other": 1}) == distilled
    assert len({distilled, small_set()}) == 1
    image = distilled.images.clone()
    image[3, 1, 2, 5] ^= 1
    classes = distilled.intended_class.clone()
    classes[[0, 1]] = classes[[1, 0]]
    as_floats = distilled.images.float() / 255
    different = [
        small_set(image),
        small_set(intended_class=classes),
        small_set(names=("cat", "dog", "fox", "eel")),
        small_set(mean=(0.4, 0.45, 0.51)),
        small_set(std=(0.2, 0.21, 0.221)),
        small_set(as_floats),
        small_set(distilled.images.reshape(12, 3, 4, 16)),
    ]
    assert len({distilled.sha256, *(other.sha256 for other in different)}) == 8


def test_the_hash_is_the_documented_one():
    # A change of it orphans every store of soft labels.
    images = torch.arange(2 * 1 * 2 * 3, dtype=torch.uint8).view(2, 1, 2, 3)
    distilled = DistilledSet(
        images=images, intended_class=torch.tensor([1, 0]), class_names=("a", "b"), mean=(0.5,), std=(0.25,)
    )
    header = (
        b'{"class_names":["a","b"],"dtype":"uint8","format":"lt_callbacks.distilled_set","mean":[0.5],'
        b'"shape":[2,1,2,3],"std":[0.25]}\n'
    )
    classes = (1).to_bytes(8, "little") + (0).to_bytes(8, "little")
    assert distilled.sha256 == hashlib.sha256(header + bytes(range(12)) + classes).hexdigest()


def test_the_callers_tensors_are_copied():
    images, classes = random_images(), torch.arange(12) % 4
    distilled = small_set(images, intended_class=classes)
    before = distilled.sha256
    images.zero_()
    classes.zero_()
    assert distilled.images.any()
    assert DistilledSet(**{f.name: getattr(distilled, f.name) for f in dataclasses.fields(distilled)}).sha256 == before


def test_images_may_come_in_any_memory_order_and_classes_in_any_integer_dtype():
    images = random_images()
    other = images.contiguous(memory_format=torch.channels_last)
    distilled = small_set(other, intended_class=small_set().intended_class.to(torch.uint8))
    assert distilled.sha256 == small_set(images).sha256
    assert distilled.images.is_contiguous()
    assert distilled.intended_class.dtype == torch.int64


def test_a_set_can_be_sent_to_another_process():
    distilled = small_set()
    assert pickle.loads(pickle.dumps(distilled)) == distilled


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"images": random_images().double()},
            TypeError,
            "`images` must be .* uint8, or float32 .*; got torch.float64",
        ),
        ({"images": random_images().numpy()}, TypeError, "`images` must be a tensor.*; got ndarray"),
        ({"images": random_images()[0]}, ValueError, r"`images` must have shape \(N, channels, H, W\).*\(3, 8, 8\)"),
        ({"images": random_images()[:0]}, ValueError, r"`images` must have shape .*\(0, 3, 8, 8\)"),
        ({"intended_class": torch.arange(12).float()}, TypeError, "`intended_class` .* integers; got torch.float32"),
        ({"intended_class": [0] * 12}, TypeError, "`intended_class` must be a tensor of integers; got list"),
        ({"intended_class": torch.arange(11) % 4}, ValueError, r"`intended_class` must have shape \(12,\).*\(11,\)"),
        (
            {"intended_class": torch.tensor([0, 1, 2, 3, 0, 4, 0, 0, 0, 0, 5, 0])},
            ValueError,
            r"`intended_class` must be in 0\.\.3, .*; got 4 at position 5",
        ),
        (
            {"intended_class": torch.arange(12) % 4 + 1},
            ValueError,
            r"`intended_class` must be in 0\.\.3, .*; got 4 at position 3. They count from 1: subtract 1",
        ),
        (
            {"intended_class": torch.tensor([0, 1, 2, 3, 0, 0, 0, -1, 0, 0, 0, 0])},
            ValueError,
            "got -1 at position 7",
        ),
        ({"intended_class": torch.arange(12) % 2}, ValueError, r"no image of 'eel' \(2 such classes\)"),
        ({"class_names": "cat"}, TypeError, "`class_names` must be a sequence of strings; got 'cat'"),
        ({"class_names": ("cat", 1, "dog", "eel")}, TypeError, "`class_names` must be non-empty strings; got 1"),
        ({"class_names": ("cat", "dog", "cat", "eel")}, ValueError, "`class_names` must be at least two different"),
        ({"class_names": ("cat",)}, ValueError, "`class_names` must be at least two different names"),
        ({"mean": (0.5, 0.5)}, ValueError, "`mean` must have one value a channel, 3; got 2"),
        ({"mean": (0.5, 0.5, 127.0)}, ValueError, "`mean` must be a finite number >= 0 and <= 1; got 127"),
        ({"mean": 0.5}, TypeError, "`mean` must be a sequence of 3 numbers"),
        ({"std": (0.2, 0.2, 0.0)}, ValueError, "`std` must be a finite number > 0; got 0"),
        ({"provenance": {"a": float("nan")}}, TypeError, "`provenance` must be JSON values"),
        ({"provenance": [1]}, TypeError, "`provenance` must be a mapping"),
    ],
)
def test_what_is_no_distilled_set_is_refused(changes, error, message):
    values = {f.name: getattr(small_set(), f.name) for f in dataclasses.fields(DistilledSet)}
    with pytest.raises(error, match=message):
        DistilledSet(**{**values, **changes})


@pytest.mark.parametrize(
    ("value", "shown"), [(1.001, "1.001"), (-0.001, "-0.001"), (float("nan"), "nan"), (float("inf"), "inf")]
)
def test_float_pixels_outside_0_to_1_are_refused_with_their_image(value, shown):
    images = random_images(dtype=torch.float32)
    images[7, 2, 3, 4] = value
    with pytest.raises(
        ValueError, match=rf"`images` must be finite and in \[0, 1\]; got .*{shown}.* in image 7 \(1 such"
    ):
        small_set(images)


def test_float_pixels_may_be_0_and_1():
    images = random_images(dtype=torch.float32)
    images[0], images[1] = 0.0, 1.0
    assert small_set(images).images[1].eq(1).all()


def test_another_thing_in_place_of_a_set_is_a_type_error():
    assert checked_set(small_set()) == small_set()
    with pytest.raises(TypeError, match="`distilled` must be a DistilledSet; got str. Use DistilledSet.load"):
        checked_set("folder")


def test_names_are_kept_as_a_tuple():
    assert small_set(names=list(NAMES)).class_names == NAMES
