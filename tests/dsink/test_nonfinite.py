from __future__ import annotations

import warnings

import pytest
import torch

from lt_callbacks._errors import StateError
from lt_callbacks.dsink.nonfinite import NonfiniteReport

#: Of four samples the second is not finite in the noise-robust teacher, the last one in both.
FLAGS = torch.tensor([[False, False], [True, False], [False, False], [True, True]])
COUNT = FLAGS.sum(dim=0)
NOTHING = torch.zeros(2, dtype=torch.int64), torch.zeros(4, 2, dtype=torch.bool)


def test_nothing_noted_is_nothing_to_report():
    NonfiniteReport(action="raise").check()


def test_a_finite_step_passes():
    report = NonfiniteReport(action="raise")
    report.note(*NOTHING, None)
    report.check()


def test_the_teacher_and_its_samples_are_named():
    report = NonfiniteReport(action="raise")
    report.note(COUNT, FLAGS, torch.tensor([40, 41, 42, 43]))
    with pytest.raises(StateError, match=r"`noise_teacher` must give finite outputs; 2 samples.*indices.*\[41, 43\]"):
        report.check()
    # What was reported is not reported again.
    report.check()


def test_the_second_teacher_is_named_where_the_first_is_finite():
    report = NonfiniteReport(action="raise")
    flags = FLAGS & torch.tensor([False, True])
    report.note(flags.sum(dim=0), flags, None)
    with pytest.raises(StateError, match=r"`imbalance_teacher` .*; 1 samples.*positions in the batch.*\[3\]"):
        report.check()


def test_ranks_without_a_bad_sample_of_their_own_report_too():
    report = NonfiniteReport(action="raise")
    report.note(COUNT, NOTHING[1], torch.arange(4))
    with pytest.raises(StateError, match=r"2 samples .*on this rank: \[\]"):
        report.check()


def test_at_most_ten_samples_are_listed():
    report = NonfiniteReport(action="raise")
    report.note(torch.tensor([50, 0]), torch.tensor([[True, False]]).expand(50, 2), None)
    with pytest.raises(StateError, match=r"50 samples.*\[0, 1, 2, 3, 4, 5, 6, 7, 8, 9\]"):
        report.check()


def test_a_warning_comes_once():
    report = NonfiniteReport(action="warn")
    report.note(COUNT, FLAGS, None)
    with pytest.warns(UserWarning, match="`noise_teacher` must give finite outputs"):
        report.check()
    report.note(COUNT, FLAGS, None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report.check()


def test_what_is_ignored_is_not_even_noted():
    report = NonfiniteReport(action="ignore")
    report.note(COUNT, FLAGS, None)
    assert report._pending is None
    report.check()
