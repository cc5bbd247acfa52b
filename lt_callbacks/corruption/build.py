from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.corruption.given_labels import load_given_labels
from lt_callbacks.corruption.label_noise import corrupt_labels
from lt_callbacks.corruption.labels import checked_labels
from lt_callbacks.corruption.longtail import longtail_indices
from lt_callbacks.corruption.manifest import Manifest
from lt_callbacks.corruption.settings import Imbalance, Noise, checked_settings
from lt_callbacks.corruption.transition_file import load_transition
from lt_callbacks.corruption.transitions import transition_matrix


def build_manifest(
    labels: ArrayLike,
    *,
    dataset: str,
    num_classes: int,
    imbalance: Imbalance,
    noise: Noise,
    seed: int,
    labels_are_true: bool = True,
) -> Manifest:
    """Corrupt a training set: imbalance first, then noise on what is left.

    Args:
        labels: (N,) integer in 0..C-1. Labels of the full original training set.
        dataset: Its name.
        num_classes: C >= 2; every class needs a sample.
        imbalance: Which samples stay.
        noise: Which of their labels become wrong.
        seed: Corruption seed, >= 0; the training seed is another setting.
        labels_are_true: Whether ``labels`` are known to be right. False for labels that people gave and nobody checked:
            the manifest then claims no truth.

    Returns:
        :class:`Manifest` of the kept samples.

    Raises:
        FileNotFoundError: A file that ``noise`` names is missing.
        TypeError: A number has the wrong type, or ``imbalance`` or ``noise`` is a dictionary.
        ValueError: Labels, settings and files do not fit together, or a class has no sample left.

    Example:
        >>> labels = np.repeat(np.arange(10), 100)
        >>> manifest = build_manifest(labels, dataset="toy", num_classes=10, imbalance=Imbalance(factor=10),
        ...                           noise=Noise(kind="symmetric", ratio=0.4), seed=0)
        >>> len(manifest)
        403
    """
    num_classes = integer("num_classes", num_classes, at_least=2)
    imbalance, noise = checked_settings("imbalance", imbalance, Imbalance), checked_settings("noise", noise, Noise)
    labels = checked_labels("labels", labels, num_classes=num_classes, hint="Correct `num_classes` or the labels.")
    order = tuple(range(num_classes)) if imbalance.class_order is None else tuple(imbalance.class_order)
    if len(order) != num_classes:
        raise ArgumentValueError(
            "class_order",
            rule=f"hold each of the {num_classes} classes once",
            got=str(len(order)),
            way_out="Put the head class first.",
        )
    indices = longtail_indices(
        labels, imbalance_factor=imbalance.factor, seed=seed, profile=imbalance.profile, class_order=order
    )
    return Manifest(
        dataset=dataset,
        num_classes=num_classes,
        indices=indices,
        **{"true_labels" if labels_are_true else "source_labels": labels[indices]},
        given_labels=_given_labels(labels, indices, num_classes=num_classes, noise=noise, seed=seed),
        settings=_settings(imbalance, noise, order, seed),
    )


def _given_labels(
    labels: NDArray[np.int64], indices: NDArray[np.int64], *, num_classes: int, noise: Noise, seed: int
) -> NDArray[np.int64]:
    """(K,) given labels of the kept samples."""
    if noise.given_labels_file is not None:
        return load_given_labels(
            noise.given_labels_file, key=noise.given_labels_key, num_classes=num_classes, clean_labels=labels
        )[indices]
    if noise.transition_file is not None:
        transition = load_transition(noise.transition_file, num_classes=num_classes, num_samples=len(labels))
        # Rows belong to samples of the full set. Hashed numbers do too, so noise before the subset is noise after it.
        return corrupt_labels(labels, transition, seed=seed)[indices]
    kept = labels[indices]
    prior = np.bincount(kept, minlength=num_classes) if noise.kind == "class_frequency" else None
    transition = transition_matrix(noise.kind, num_classes, ratio=noise.ratio, class_prior=prior)
    return corrupt_labels(kept, transition, seed=seed, positions=indices)


def _settings(imbalance: Imbalance, noise: Noise, order: tuple[int, ...], seed: int) -> dict[str, Any]:
    """Settings by meaning: label order is the default, however it was said."""
    stated_order = None if order == tuple(range(len(order))) else list(order)
    return {"imbalance": {**asdict(imbalance), "class_order": stated_order}, "noise": asdict(noise), "seed": int(seed)}
