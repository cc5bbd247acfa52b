"""Small stores of soft labels for the tests of this room."""

from __future__ import annotations

import torch
from small_sets import small_set

from lt_callbacks.distilled_set import SoftLabels, ViewSettings

VIEWS = ViewSettings(seed=5, crop="padded", mix="cutmix")
CALIBRATION = {"tau": 1.5}


def logits_of(view, *, num_images=12, num_classes=4, scale=5.0):
    return scale * torch.randn(num_images, num_classes, generator=torch.Generator().manual_seed(view))


def store(folder, *, num_views=3, **settings):
    return SoftLabels.create(folder, distilled=small_set(), views=VIEWS, num_views=num_views, **settings)


def written_store(folder):
    """A store whose three views are written, from logits that are said to be calibrated."""
    made = store(folder, calibration=CALIBRATION)
    for view in range(3):
        made.write(view, logits_of(view))
    return made
