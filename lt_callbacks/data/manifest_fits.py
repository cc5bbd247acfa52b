from __future__ import annotations

import os

from lt_callbacks._checks import as_path
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.corruption import Manifest
from lt_callbacks.data.image_set import Source


def fitting_manifest(manifest: Manifest | str | os.PathLike[str], source: Source) -> Manifest:
    """A manifest, or the one in a file, if it was made from the source's training set.

    Raises:
        TypeError: Neither a manifest nor a path.
        ValueError: Classes, positions or labels do not fit.
    """
    if isinstance(manifest, Manifest):
        found = manifest
    else:
        found = Manifest.load(as_path("manifest", manifest, hint="Or pass what `build_manifest` returned."))
    check_manifest_fits(found, source)
    return found


def check_manifest_fits(manifest: Manifest, source: Source) -> None:
    """Refuse a manifest that was made from other data than the source's training set.

    Names may differ: the same data set can be read in several ways. Positions and the labels before the noise may not.

    Raises:
        ValueError: Classes, positions or labels do not fit.
    """
    way_out = f"It was made from {manifest.dataset!r}; use the source that it was made from, or build a new one."
    if manifest.num_classes != source.num_classes:
        raise ArgumentValueError(
            "manifest",
            rule=f"have the source's {source.num_classes} classes",
            got=str(manifest.num_classes),
            way_out=way_out,
        )
    if len(manifest) == 0 or manifest.indices[0] < 0 or manifest.indices[-1] >= len(source.train):
        raise ArgumentValueError(
            "manifest",
            rule=f"hold positions of the source's {len(source.train)} training samples",
            got=f"{len(manifest)} positions up to {manifest.indices.max(initial=-1)}",
            way_out=way_out,
        )
    num_wrong = int((manifest.source_labels != source.train.labels[manifest.indices]).sum())
    if num_wrong:
        raise ArgumentValueError(
            "manifest",
            rule="have the labels of the source, before the noise,",
            got=f"{num_wrong} of {len(manifest)} that differ",
            way_out=way_out,
        )
