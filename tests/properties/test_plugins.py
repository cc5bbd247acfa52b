"""Constructors of the Lightning layer: any settings give an object or a name."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from inputs import mistakes
from outcomes import REFUSED, outcome
from torch import nn

from lt_callbacks import ADSACallback, DSink, DSinkCallback, ProxyLabelMonitor, RankAgreement, ShotAccuracy
from lt_callbacks.teachers import ModuleTeacher

# An argument that is a path or a place in a batch is asked for later, when there is a folder or a batch.
DSINK = ["noise_teacher", "imbalance_teacher", "alpha", "warmup_epochs", "student_weight", "class_marginal"]
DSINK += ["queue_batches", "scope", "max_iterations", "tolerance", "on_nonfinite"]
ADSA = ["class_prior", "fit_on", "num_fit_views", "views", "num_views", "target_prior", "shrink_to", "top_k"]
ADSA += ["batch_size", "on_degenerate"]


def is_small(value) -> bool:
    """Not a number of batches to remember, or of views to make, that no memory holds."""
    return not (isinstance(value, int) and value > 1000)


@given(changes=st.dictionaries(st.sampled_from(DSINK), mistakes.filter(is_small), min_size=1, max_size=2))
def test_any_settings_of_dsink_are_taken_or_named(changes):
    teachers = {"noise_teacher": ModuleTeacher(nn.Identity()), "imbalance_teacher": ModuleTeacher(nn.Identity())}
    found = outcome(DSink, **{**teachers, **changes})
    if found is not REFUSED:
        found.loss(torch.zeros(2, 3), torch.zeros(2, 3))


@given(changes=st.dictionaries(st.sampled_from(ADSA), mistakes.filter(is_small), min_size=1, max_size=2))
def test_any_settings_of_adsa_are_taken_or_named(changes):
    also = ("num_views", "crop", "crop_padding", "crop_area", "flip", "mix", "mix_alpha", "settings")
    outcome(ADSACallback, "distilled", output="calibrated", **{"class_prior": [3, 1], **changes}, also=also)


@given(
    changes=st.dictionaries(
        st.sampled_from(["uniform_above", "collapsed_above", "on_degenerate"]), mistakes, min_size=1, max_size=2
    )
)
def test_any_settings_of_the_monitor_are_taken_or_named(changes):
    outcome(ProxyLabelMonitor, **changes)


@given(value=mistakes)
def test_any_single_argument_is_taken_or_named(value):
    outcome(DSinkCallback, value)
    outcome(RankAgreement, value)
    outcome(ShotAccuracy, class_counts=value)
    outcome(ModuleTeacher, value)
