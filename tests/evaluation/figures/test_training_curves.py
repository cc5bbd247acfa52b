from __future__ import annotations

import re

import numpy as np
import pytest

from lt_callbacks.evaluation import training_curves_figure

LOSSES = np.array([[2.0, 1.0, 0.5], [2.2, 1.4, 0.3]])


def test_line_is_the_mean_over_seeds_and_band_one_standard_deviation():
    figure = training_curves_figure({"CE": {"epoch": [1, 2, 3], "train_loss": LOSSES}})
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), np.c_[[1, 2, 3], LOSSES.mean(axis=0)])
    corners = axes.collections[0].get_paths()[0].vertices
    mean, sd = LOSSES.mean(axis=0), LOSSES.std(axis=0, ddof=1)
    for epoch in (1, 2, 3):
        heights = corners[corners[:, 0] == epoch][:, 1]
        assert heights.min() == pytest.approx(mean[epoch - 1] - sd[epoch - 1])
        assert heights.max() == pytest.approx(mean[epoch - 1] + sd[epoch - 1])
    assert axes.get_title(loc="right") == "mean over 2 seeds; band: ± 1 sd"


def test_one_panel_a_quantity_with_every_method_that_has_it():
    figure = training_curves_figure(
        {
            "CE": {"epoch": [0, 1], "wrong_labels_fitted": [10, 80], "train_loss": [2, 1]},
            "D-SINK": {"epoch": [0, 1, 2], "test_accuracy": [10, 70, 80], "wrong_labels_fitted": [10, 9, 8]},
        }
    )
    loss, accuracy, fitted = figure.axes
    assert loss.get_ylabel() == "training loss"
    assert accuracy.get_ylabel() == "test accuracy (%)"
    assert fitted.get_ylabel() == "wrong training\nlabels fitted (%)"
    assert [len(axes.lines) for axes in figure.axes] == [1, 1, 2]
    # a method looks the same in all panels
    assert accuracy.lines[0].get_color() == fitted.lines[1].get_color() != loss.lines[0].get_color()
    assert fitted.lines[0].get_color() == loss.lines[0].get_color()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["CE", "D-SINK"]
    assert fitted.get_ylim() == (0, 100)
    assert not fitted.collections


def test_epochs_that_were_not_measured_are_skipped():
    record = {"epoch": [0, 1, 2], "val_accuracy": [[10.0, np.nan, 30.0], [20.0, 25.0, 40.0]]}
    (axes,) = training_curves_figure({"CE": record}).axes
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [[0, 15], [2, 35]])


@pytest.mark.parametrize(
    ("curves", "text"),
    [
        ({}, "`curves` must hold at least one of train_loss, val_accuracy"),
        ({"CE": {"epoch": [0]}}, "for one method; got ['CE'] without any."),
        ({"CE": {"train_loss": [0]}}, "`curves['CE']` must hold `epoch`; got train_loss."),
        (
            {"CE": {"epoch": [[0]], "train_loss": [0]}},
            "`curves['CE']['epoch']` must have shape (E,), E >= 1; got (1, 1)",
        ),
        ({"CE": {"epoch": [0], "val_acuracy": [0]}}, "got 'val_acuracy'. Did you mean 'val_accuracy'?"),
        ({"CE": {"epoch": [0, 1], "train_loss": [[0]]}}, "must have shape (2,) or (S, 2), as `epoch`; got (1, 1)."),
    ],
)
def test_errors_name_method_and_quantity(curves, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        training_curves_figure(curves)


def test_bands_of_accuracies_end_at_0_and_100_percent_and_those_of_losses_do_not():
    curves = {"epoch": [1, 2], "test_accuracy": [[100, 100], [90, 100]], "train_loss": [[0.1, 0.0], [0.9, 0.0]]}
    loss, accuracy = training_curves_figure({"CE": curves}).axes
    assert accuracy.collections[0].get_paths()[0].vertices[:, 1].max() == 100
    assert loss.collections[0].get_paths()[0].vertices[:, 1].min() < 0
    assert accuracy.get_title(loc="right") == "mean over 2 seeds; band: ± 1 sd; bands end at 0 and 100 %"
