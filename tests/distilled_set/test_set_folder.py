import json

import pytest
import torch
from small_sets import random_images, small_set

from lt_callbacks.distilled_set import DistilledSet


@pytest.fixture
def folder(tmp_path):
    return small_set().save(tmp_path / "set")


def edited(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_folder_can_be_read_without_this_package(folder):
    from safetensors.torch import load_file

    facts = json.loads((folder / "distilled.json").read_text())
    tensors = load_file(folder / "images.safetensors")
    distilled = small_set()
    assert torch.equal(tensors["images"], distilled.images)
    assert torch.equal(tensors["intended_class"], distilled.intended_class)
    assert (facts["format"], facts["format_version"]) == ("lt_callbacks.distilled_set", 1)
    assert facts["class_names"] == ["cat", "dog", "eel", "fox"]
    assert facts["mean"] == list(distilled.mean)
    assert facts["std"] == list(distilled.std)
    assert facts["image_shape"] == [3, 8, 8]
    assert facts["class_counts"] == [3, 3, 3, 3]
    assert (facts["num_images"], facts["dtype"]) == (12, "uint8")
    assert facts["provenance"] == {"method": "random", "seed": 0}
    assert sorted(path.name for path in folder.iterdir()) == ["distilled.json", "images.safetensors"]


@pytest.mark.parametrize("num_bytes", [0, 7, 100, -1])
def test_a_truncated_images_file_is_refused_by_name(folder, num_bytes):
    path = folder / "images.safetensors"
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(ValueError, match=r"images\.safetensors', which is truncated or was edited"):
        DistilledSet.load(folder)


def test_one_changed_pixel_is_noticed(folder):
    path = folder / "images.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"images\.safetensors', which is truncated or was edited"):
        DistilledSet.load(folder)


@pytest.mark.parametrize(
    "changes", [{"mean": [0.5, 0.5, 0.5]}, {"class_names": ["a", "b", "c", "d"]}, {"provenance": {}}, {"new": 1}]
)
def test_edited_facts_are_refused_by_name(folder, changes):
    edited(folder / "distilled.json", **changes)
    with pytest.raises(ValueError, match=r"distilled\.json', which was edited or damaged: its checksum"):
        DistilledSet.load(folder)


def test_facts_of_another_set_with_a_right_checksum_are_noticed(folder, tmp_path):
    from lt_callbacks.distilled_set.facts_file import write_facts

    facts = json.loads((folder / "distilled.json").read_text())
    write_facts(folder / "distilled.json", {**facts, "class_names": ["a", "b", "c", "d"]})
    with pytest.raises(ValueError, match=r"distilled\.json', which does not fit the images beside it"):
        DistilledSet.load(folder)


def test_another_format_version_is_refused_with_both_numbers(folder):
    edited(folder / "distilled.json", format_version=2)
    with pytest.raises(ValueError, match="has format version 2 where this release reads 1. Read it with the release"):
        DistilledSet.load(folder)


@pytest.mark.parametrize("name", ["distilled.json", "images.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        DistilledSet.load(folder)


def test_saving_the_same_set_again_touches_nothing(folder):
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    small_set(provenance={"method": "another"}).save(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert DistilledSet.load(folder).provenance == {"method": "random", "seed": 0}


def test_a_folder_with_another_set_is_left_alone(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    other = small_set(random_images(seed=1))
    with pytest.raises(
        ValueError, match=f"holds a distilled set with sha256 {small_set().sha256[:12]}.*{other.sha256[:12]}"
    ):
        other.save(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_save_that_was_killed_between_the_files_goes_on(folder):
    (folder / "distilled.json").unlink()
    small_set().save(folder)
    assert DistilledSet.load(folder) == small_set()


def test_somebody_elses_images_are_not_overwritten(folder):
    (folder / "distilled.json").unlink()
    before = (folder / "images.safetensors").read_bytes()
    with pytest.raises(ValueError, match="holds another images.safetensors and no distilled.json"):
        small_set(random_images(seed=1)).save(folder)
    assert (folder / "images.safetensors").read_bytes() == before


def test_saving_over_a_damaged_set_is_refused(folder):
    edited(folder / "distilled.json", std=[1, 1, 1])
    with pytest.raises(ValueError, match="was edited or damaged"):
        small_set().save(folder)
