from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from lt_callbacks._checks import real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.data.image_set import ImageSet, Source, checked_source
from lt_callbacks.data.validation_split import held_out

#: Of the split. A constant: the test set is a fact of the data, not a setting of a run.
SPLIT_SEED = 0

#: Share that is held out where nobody says another.
TEST_FRACTION = 0.2

_MOST_NAMED = 10


def hold_out_test(source: Source, *, fraction: float = TEST_FRACTION) -> Source:
    """Hold out a share of each class's training samples as the test set of a data set that has none.

    The test samples keep the labels that they were given: where some of those are wrong, so are some of the test's, and
    an accuracy is agreement with given labels. A class of one sample stays in training.

    Args:
        source: Without a test set.
        fraction: Share of the training samples, in (0, 0.9]. The same samples for everybody.

    Returns:
        The source with a smaller training set and ``test_is_held_out`` set.

    Raises:
        ValueError: The source has a test set, or no class has a sample to spare.

    Warns:
        UserWarning: A class gave no sample and is not scored.
    """
    real("fraction", fraction, above=0.0, at_most=0.9)
    checked_source(source)
    if source.test is not None:
        raise ArgumentValueError(
            "fraction",
            rule="be left out for data with a test set of its own",
            got=f"{fraction:g} for {source.name!r}",
            way_out="Leave it out, or remove the test set.",
        )
    labels = source.train.labels
    everything = np.arange(len(labels))
    test = held_out(labels, everything, fraction=fraction, seed=SPLIT_SEED, purpose="test set")
    if len(test) == 0:
        raise ArgumentValueError(
            "fraction",
            rule="leave a test sample",
            got=f"{fraction:g} of {len(labels)} samples in {source.num_classes} classes, which is none",
            way_out="Take a larger share, or give a test set.",
        )
    counts = np.bincount(labels, minlength=source.num_classes)
    silent = np.flatnonzero((counts > 0) & (np.bincount(labels[test], minlength=source.num_classes) == 0))
    if len(silent):
        named = [f"{source.class_names[label]!r} ({counts[label]})" for label in silent[:_MOST_NAMED]]
        more = f" and {len(silent) - _MOST_NAMED} more" if len(silent) > _MOST_NAMED else ""
        warnings.warn(
            f"Classes with too few samples for a share of {fraction:g} stay in training and are not scored: "
            f"{', '.join(named)}{more}. Give a test set of your own to score them.",
            stacklevel=2,
        )
    train = np.setdiff1d(everything, test, assume_unique=True)
    return replace(
        source,
        train=ImageSet(images=source.train.take(train), labels=labels[train]),
        test=ImageSet(images=source.train.take(test), labels=labels[test]),
        test_is_held_out=True,
    )
