"""Clean labels -> imbalance -> noise -> manifest. Depends on labels, settings and seed only; numpy only."""

from lt_callbacks.corruption.build import build_manifest
from lt_callbacks.corruption.counts import PROFILES, class_counts
from lt_callbacks.corruption.hashing import hashed_uniform
from lt_callbacks.corruption.label_noise import corrupt_labels
from lt_callbacks.corruption.longtail import longtail_indices
from lt_callbacks.corruption.manifest import Manifest
from lt_callbacks.corruption.settings import NOISE_KINDS, Imbalance, Noise
from lt_callbacks.corruption.transitions import TRANSITION_KINDS, transition_matrix

__all__ = [
    "NOISE_KINDS",
    "PROFILES",
    "TRANSITION_KINDS",
    "Imbalance",
    "Manifest",
    "Noise",
    "build_manifest",
    "class_counts",
    "corrupt_labels",
    "hashed_uniform",
    "longtail_indices",
    "transition_matrix",
]
