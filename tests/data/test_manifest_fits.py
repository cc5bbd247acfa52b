from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lt_callbacks.corruption import Imbalance, Manifest, Noise, build_manifest
from lt_callbacks.data import Source
from lt_callbacks.data.manifest_fits import check_manifest_fits


def manifest_of(source: Source) -> Manifest:
    return build_manifest(
        source.train.labels,
        dataset="elsewhere",
        num_classes=source.num_classes,
        imbalance=Imbalance(factor=4),
        noise=Noise(kind="symmetric", ratio=0.3),
        seed=0,
    )


def test_a_manifest_of_the_same_data_fits_under_any_name(numbered_source: Source):
    check_manifest_fits(manifest_of(numbered_source), numbered_source)


def test_manifests_of_other_data_are_refused(numbered_source: Source):
    manifest = manifest_of(numbered_source)
    named = replace(numbered_source, class_names=("a", "b", "c", "d", "e"))
    with pytest.raises(
        ValueError, match="`manifest` must have the source's 5 classes; got 4. It was made from 'elsewhere'"
    ):
        check_manifest_fits(manifest, named)

    beyond = replace(manifest, indices=manifest.indices + 200)
    with pytest.raises(
        ValueError, match=r"positions of the source's 300 training samples; got \d+ positions up to \d+. It"
    ):
        check_manifest_fits(beyond, numbered_source)

    other = manifest.true_labels.copy()
    other[:3] = (other[:3] + 1) % 4
    with pytest.raises(
        ValueError,
        match=rf"must have the labels of the source, before the noise,; got 3 of {len(manifest)} that differ",
    ):
        check_manifest_fits(replace(manifest, true_labels=other), numbered_source)


def test_an_empty_manifest_is_refused(numbered_source: Source):
    nothing = np.zeros(0, dtype=np.int64)
    try:
        manifest = Manifest(
            dataset="x", num_classes=4, indices=nothing, true_labels=nothing, given_labels=nothing, settings={}
        )
    except ValueError:
        return  # refused where it is made
    with pytest.raises(ValueError, match="got 0 positions up to -1"):
        check_manifest_fits(manifest, numbered_source)
