from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lt_callbacks.data import ImageSet, Source
from lt_callbacks.data.fingerprint import data_fingerprint


def fingerprint(source: Source, indices: np.ndarray | None = None, **changes: object) -> str:
    indices = np.arange(len(source.train)) if indices is None else indices
    settings = {"manifest_sha256": "00", "split": {"validation_fraction": 0.1, "seed": 0}, "augment": True}
    return data_fingerprint(source, indices, **{**settings, **changes})


def test_equal_data_have_equal_fingerprints_on_every_machine(numbered_source: Source):
    copy = replace(numbered_source, name="another name", train=replace(numbered_source.train))
    assert fingerprint(copy) == fingerprint(numbered_source)
    # where this value changes, no stored teacher is found again
    assert fingerprint(numbered_source) == "5f017c5df3b87572b8cbe1bacbd06825c53ebedca01e1c81891432c6b45a521d"


def test_everything_that_a_network_is_trained_on_counts(numbered_source: Source):
    pixels = numbered_source.train.images.clone()
    pixels[299, 1, 3, 3] += 1
    others = [
        fingerprint(replace(numbered_source, train=ImageSet(images=pixels, labels=numbered_source.train.labels))),
        fingerprint(replace(numbered_source, mean=(0.1, 0.0))),
        fingerprint(replace(numbered_source, std=(0.5, 1.0))),
        fingerprint(replace(numbered_source, crop_padding=1)),
        fingerprint(replace(numbered_source, flip=True)),
        fingerprint(numbered_source, np.arange(299)),
        fingerprint(numbered_source, manifest_sha256="01"),
        fingerprint(numbered_source, split={"validation_fraction": 0.2, "seed": 0}),
        fingerprint(numbered_source, augment=False),
    ]
    assert len({fingerprint(numbered_source), *others}) == len(others) + 1


def test_what_is_not_trained_on_does_not_count(numbered_source: Source):
    pixels = numbered_source.train.images.clone()
    pixels[299] += 1
    changed = replace(numbered_source, train=ImageSet(images=pixels, labels=numbered_source.train.labels), test=None)
    assert fingerprint(changed, np.arange(299)) == fingerprint(numbered_source, np.arange(299))


def test_shapes_count(numbered_source: Source):
    tall = numbered_source.train.images.reshape(300, 2, 8, 2)
    turned = replace(
        numbered_source,
        train=ImageSet(images=tall, labels=numbered_source.train.labels),
        test=None,
        image_size=None,
    )
    assert fingerprint(turned) != fingerprint(numbered_source)


def test_files_count_by_content_wherever_they_lie(file_source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = fingerprint(file_source)
    moved = tmp_path / "moved"
    for name in ("0", "1"):
        shutil.copytree(tmp_path / name, moved / name)
    paths = tuple(moved / path.relative_to(tmp_path) for path in file_source.train.images)
    elsewhere = replace(file_source, train=ImageSet(images=paths, labels=file_source.train.labels))
    assert fingerprint(elsewhere) == first
    monkeypatch.chdir(moved)
    relative = tuple(Path(os.path.relpath(path, moved)) for path in paths)
    assert fingerprint(replace(elsewhere, train=ImageSet(images=relative, labels=file_source.train.labels))) == first

    paths[5].rename(paths[5].with_name("renamed.png"))
    renamed = tuple(path.with_name("renamed.png") if path == paths[5] else path for path in paths)
    assert fingerprint(replace(elsewhere, train=ImageSet(images=renamed, labels=file_source.train.labels))) == first
    # where this value changes, no stored teacher of image files is found again
    written = tuple(tmp_path / f"written-{i}" for i in range(24))
    for i, path in enumerate(written):
        path.write_bytes(bytes([i] * 100))
    fixed = replace(file_source, train=ImageSet(images=written, labels=file_source.train.labels))
    assert fingerprint(fixed) == "02e85a66cee6dfa5135159d943af256aef303c8e0cb40eb53af28b2261db4fc4"


def test_two_files_of_equal_size_that_are_exchanged_are_other_data(file_source: Source, tmp_path: Path):
    first, second, third = (tmp_path / f"{name}.ppm" for name in "abc")
    for path, byte in ((first, b"\0"), (second, b"\1")):
        path.write_bytes(b"P6 1 1 255\n" + byte * 3)
        os.utime(path, ns=(10**18, 10**18))
    source = replace(file_source, train=ImageSet(images=(first, second), labels=np.array([0, 1])))
    before = fingerprint(source)
    first.rename(third)
    second.rename(first)
    third.rename(second)
    assert fingerprint(source) != before


def test_large_sets_are_read_in_parts():
    images = torch.arange(3000 * 4).to(torch.uint8).view(3000, 1, 2, 2)
    source = Source(
        name="large",
        train=ImageSet(images=images, labels=np.arange(3000) % 2),
        class_names=("a", "b"),
        mean=(0.0,),
        std=(1.0,),
    )
    changed = images.clone()
    changed[2999] += 1
    other = replace(source, train=ImageSet(images=changed, labels=np.arange(3000) % 2))
    assert fingerprint(source) != fingerprint(other)
