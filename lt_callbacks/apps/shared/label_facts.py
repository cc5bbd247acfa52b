"""What a run says of the labels it learns from, before it does anything with them."""

from __future__ import annotations

import numpy as np

from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.data import LongTailedDataModule


def label_facts(datamodule: LongTailedDataModule) -> str:
    """The first line of a run: what was done to the labels, and what the scores are made of."""
    source = datamodule.source
    scored = "" if source.test is None else f" Scored on {source.scored_on} ({len(source.test):,} samples)."
    return f"{source.name}: {what_was_done(datamodule)}.{scored}"


def label_facts_of_seed(config: TrainConfig | DistillConfig, datamodule: LongTailedDataModule) -> str | None:
    """What is said as a seed begins; None where it is what the first seed said, since all have the same labels."""
    is_same = config.corruption_seed is not None or config.manifest is not None
    if is_same and datamodule.seed != config.seed:
        return None
    return ("" if is_same or config.num_seeds == 1 else f"seed {datamodule.seed}: ") + label_facts(datamodule)


def what_was_done(datamodule: LongTailedDataModule) -> str:
    """How many samples were dropped and labels changed, as part of a sentence.

    Where the truth is unknown it says so, and claims of no label that it is wrong.
    """
    manifest = datamodule.manifest
    num_dropped = len(datamodule.source.train) - len(manifest)
    num_classes = np.count_nonzero(np.bincount(manifest.given_labels, minlength=manifest.num_classes))
    held = f"{len(manifest):,} training samples in {num_classes} classes"
    num_held_out = len(datamodule.val_indices)
    if num_held_out:
        held += f" ({num_held_out:,} of them held out for validation)"
    done = []
    if num_dropped:
        done.append(f"{num_dropped:,} of {len(datamodule.source.train):,} samples dropped as asked for")
    if manifest.num_changed:
        share = manifest.num_changed / len(manifest)
        done.append(f"{manifest.num_changed:,} labels ({share:.0%}) changed as asked for")
    if not done:
        done.append("labels as given" if not manifest.truth_is_known else "no label changed")
    if not manifest.truth_is_known:
        done.append(f"nobody knows which {'were wrong before' if manifest.num_changed else 'of them are wrong'}")
    return ", ".join([held, *done])
