"""A fit of the small distilled set, and how it is asked for without Lightning."""

from dataclasses import replace

import torch
from adsa_small import COUNTS, distilled_set, fresh

from lt_callbacks.adsa import fit_tau
from lt_callbacks.distilled_set import ViewSettings
from lt_callbacks.relabel import RelabelSettings, RelabelTask, network_source

PRIOR = torch.tensor(COUNTS, dtype=torch.float64)
VIEWS = ViewSettings(crop="padded", crop_padding=1, mix="cutmix")


def a_fit(**changes):
    generator = torch.Generator().manual_seed(0)
    intended = distilled_set().intended_class
    logits = 2 * torch.nn.functional.one_hot(intended, 4) + 0.5 * torch.randn(24, 4, generator=generator)
    return replace(fit_tau(logits + (PRIOR / PRIOR.sum()).log(), intended, COUNTS), **changes)


def task(**changes) -> RelabelTask:
    """Three views of the small set; changes of the settings."""
    values = {"views": VIEWS, "num_views": 3, "fit_on": "plain", "num_fit_views": 2, "batch_size": 7}
    return RelabelTask(distilled=distilled_set(), class_prior=PRIOR, settings=RelabelSettings(**{**values, **changes}))


def source(*, seed: int = 0, **changes):
    """The logits of an untrained network, which are the same every time."""
    return replace(network_source(fresh(seed=seed).eval()), **changes)
