from __future__ import annotations

from lt_callbacks.corruption import Manifest
from lt_callbacks.data.image_set import Source


def check_manifest_fits(manifest: Manifest, source: Source) -> None:
    """Refuse a manifest that was made from other data than the source's training set.

    Names may differ: the same data set can be read in several ways. Positions and true labels may not.

    Raises:
        ValueError: Classes, positions or true labels do not fit.
    """
    hint = f"It was made from {manifest.dataset!r}; use the source that it was made from, or build a new one."
    if manifest.num_classes != source.num_classes:
        raise ValueError(
            f"`manifest` must have the source's {source.num_classes} classes; got {manifest.num_classes}. {hint}"
        )
    if len(manifest) == 0 or manifest.indices[0] < 0 or manifest.indices[-1] >= len(source.train):
        raise ValueError(
            f"`manifest` must hold positions of the source's {len(source.train)} training samples; got "
            f"{len(manifest)} positions up to {manifest.indices.max(initial=-1)}. {hint}"
        )
    num_wrong = int((manifest.true_labels != source.train.labels[manifest.indices]).sum())
    if num_wrong:
        raise ValueError(
            f"`manifest` must have the true labels of the source; got {num_wrong} of {len(manifest)} that differ. "
            f"{hint}"
        )
