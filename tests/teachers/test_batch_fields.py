from __future__ import annotations

import pytest
import torch

from lt_callbacks.teachers.batch_fields import BatchFields, describe_batch, get_field

IMAGES, LABELS, INDEX = torch.zeros(3, 1, 2, 2), torch.tensor([0, 1, 1]), torch.tensor([5, 6, 7])


@pytest.mark.parametrize(
    ("batch", "fields"),
    [
        ((IMAGES, LABELS), BatchFields()),
        ([IMAGES, LABELS, "names.txt"], BatchFields()),
        ({"image": IMAGES, "label": LABELS}, BatchFields()),
        ({"pixels": IMAGES, "given": LABELS}, BatchFields(images_from="pixels", label_from="given")),
        ((LABELS, IMAGES), BatchFields(images_from=1, label_from=0)),
    ],
)
def test_images_and_labels_are_where_they_usually_are_or_where_they_are_said_to_be(batch, fields):
    assert fields.images(batch) is IMAGES
    assert fields.label(batch) is LABELS


def test_a_third_item_is_no_index_unless_it_is_named():
    """It may be a true label or a flag."""
    batch = (IMAGES, LABELS, INDEX)
    assert not BatchFields().names_index(batch)
    with pytest.raises(ValueError, match="`datamodule` must give training batches that hold an index; .*`index_from`"):
        BatchFields().index(batch)
    assert BatchFields(index_from=2).names_index(batch)
    assert BatchFields(index_from=2).index(batch) is INDEX


def test_the_index_of_a_mapping_has_its_name():
    batch = {"image": IMAGES, "label": LABELS, "index": INDEX}
    assert BatchFields().names_index(batch)
    assert BatchFields().index(batch) is INDEX
    assert not BatchFields().names_index({"image": IMAGES, "label": LABELS})


@pytest.mark.parametrize("wrong", [IMAGES, LABELS.float(), LABELS.to(torch.complex64)])
def test_an_index_is_integers_one_a_sample(wrong):
    with pytest.raises(ValueError, match=r"`index_from` must name the samples' positions .*; got torch\."):
        BatchFields(index_from=2).index((IMAGES, LABELS, wrong))


def test_a_place_without_a_tensor_is_named():
    with pytest.raises(
        ValueError, match=r"`label_from` must name a tensor in the batches; got NoneType from 'given' in a "
    ):
        BatchFields(label_from="given").label({"image": IMAGES, "label": LABELS})
    with pytest.raises(
        ValueError, match=r"hold \(image, label\) tensors; got a tuple of \['Tensor', 'str'\]\. Name the"
    ):
        BatchFields().label((IMAGES, "cat"))
    with pytest.raises(ValueError, match="got a dict with keys"):
        BatchFields().label({"image": IMAGES, "target": LABELS})


@pytest.mark.parametrize("place", [True, 1.0, ["image"]])
def test_places_are_positions_or_keys(place):
    with pytest.raises(TypeError, match="`images_from` must be a position or key of the batch, or None; got"):
        BatchFields(images_from=place)


def test_what_is_not_there_is_none():
    assert get_field((IMAGES,), 1) is None
    assert get_field({"image": IMAGES}, "label") is None
    assert get_field(IMAGES.sum(), "label") is None
    assert describe_batch(3) == "a int"
