"""What D-SINK cannot work with is said at the first step of a fit, and looked at there alone."""

from __future__ import annotations

import warnings

import pytest
import small_modules as m
import torch
from torch.nn import functional as F

from lt_callbacks import DSink, DSinkCallback
from lt_callbacks.plugins.dsink.first_step import warn_of_probabilities


def fit(kind, dataset=None, **settings):
    noise, imbalance = m.teachers()
    callback = DSinkCallback(DSink(noise_teacher=noise, imbalance_teacher=imbalance, **settings))
    loader = m.DataLoader(dataset or m.data(3), batch_size=m.BATCH)
    m.trainer(callbacks=[callback]).fit(m.fresh(kind), loader)


class Probabilities(m.ReturnsTensor):
    def forward(self, x):
        return super().forward(x).softmax(1)


class LogProbabilities(m.ReturnsTensor):
    def forward(self, x):
        return super().forward(x).log_softmax(1)


class Positive(m.ReturnsTensor):
    def forward(self, x):
        return super().forward(x).relu()


def test_outputs_that_are_probabilities_already_are_warned_of_once():
    with pytest.warns(
        UserWarning, match="every row is >= 0 and sums to 1, as after a softmax.* Return the values"
    ) as all_:
        fit(Probabilities)
    assert sum("after a softmax" in str(each.message) for each in all_) == 1


@pytest.mark.parametrize("kind", [m.ReturnsTensor, LogProbabilities, Positive])
def test_logits_are_not_warned_of(kind):
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*softmax")
        fit(kind)


def test_a_share_without_a_sample_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_probabilities(torch.zeros(0, 4))


class OneLogit(m.ReturnsTensor):
    def forward(self, x):
        return super().forward(x)[:, :1]

    def training_step(self, batch, batch_idx):
        return F.binary_cross_entropy_with_logits(self(batch[0])[:, 0], (batch[1] > 1).float())


def test_one_logit():
    with pytest.raises(ValueError, match=r"`logits` must have shape .* C >= 2 classes; got \(16, 1\).* two outputs"):
        fit(OneLogit)


class MultiLabel(m.ReturnsTensor):
    def training_step(self, batch, batch_idx):
        return F.binary_cross_entropy_with_logits(self(batch[0]), batch[1].float())


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_several_labels_a_sample(dtype):
    x, y = m.data(3).tensors
    several = (F.one_hot(y, 4) | F.one_hot((y + 1) % 4, 4)).to(dtype)
    with pytest.raises(
        RuntimeError, match=rf"must have one class a sample.*{dtype} of shape \(16, 4\).* one label a samp"
    ):
        fit(MultiLabel, m.TensorDataset(x, several))


def test_soft_labels_of_one_class_are_taken():
    x, y = m.data(3).tensors
    fit(MultiLabel, m.TensorDataset(x, 0.9 * F.one_hot(y, 4) + 0.025))
