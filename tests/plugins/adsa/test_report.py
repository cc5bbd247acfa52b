from __future__ import annotations

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from adsa_small import COUNTS, distilled_set, fit
from lightning.pytorch.loggers import CSVLogger, Logger

from lt_callbacks.adsa import fit_tau
from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.plugins import ADSACallback
from lt_callbacks.plugins.adsa.report import figures_of, log_report, metrics_of, save_figures

PRIOR = torch.tensor(COUNTS, dtype=torch.float64)


def a_fit(**changes):
    generator = torch.Generator().manual_seed(0)
    intended = distilled_set().intended_class
    logits = 2 * torch.nn.functional.one_hot(intended, 4) + 0.5 * torch.randn(24, 4, generator=generator)
    return replace(fit_tau(logits + (PRIOR / PRIOR.sum()).log(), intended, COUNTS), **changes)


class Recorder(Logger):
    """Keeps what it is given."""

    name = version = "recorder"

    def __init__(self):
        super().__init__()
        self.metrics, self.images = [], {}

    def log_hyperparams(self, params, *args):
        pass

    def log_metrics(self, metrics, step=None):
        self.metrics.append((step, dict(metrics)))


class LikeWandb(Recorder):
    def log_image(self, key, images, step=None, **kwargs):
        self.images[key] = (images, step)


class LikeTensorBoard(Recorder):
    @property
    def experiment(self):
        return self

    def add_figure(self, tag, figure, global_step=None):
        self.images[tag] = (figure, global_step)


class Broken(Recorder):
    def log_metrics(self, metrics, step=None):
        raise ConnectionError("the server is gone")


def report_to(*loggers, tmp_path, trainer=None):
    figures = figures_of(a_fit(), distilled_set(), class_prior=PRIOR)
    files = save_figures(figures, tmp_path)
    log_report(SimpleNamespace(loggers=list(loggers), global_step=7), {"adsa/tau": 1.5}, figures, files)
    return figures, files


def test_figures_go_to_loggers_that_take_images_and_metrics_to_all(tmp_path):
    plain, board, wandb = Recorder(), LikeTensorBoard(), LikeWandb()
    figures, files = report_to(plain, board, wandb, tmp_path=tmp_path)
    assert [logger.metrics for logger in (plain, board, wandb)] == [[(7, {"adsa/tau": 1.5})]] * 3
    names = {"adsa/tau", "adsa/confidence", "adsa/images"}
    assert board.images == {f"adsa/{name}": (figure, 7) for name, figure in figures.items()}
    assert wandb.images == {f"adsa/{name}": ([str(path)], 7) for name, path in files.items()}
    assert board.images.keys() == wandb.images.keys() == names
    assert {path.name for path in tmp_path.iterdir()} == {"tau.png", "confidence.png", "images.png"}


def test_a_logger_that_fails_is_a_warning_and_the_next_one_is_served(tmp_path):
    after = Recorder()
    with pytest.warns(UserWarning, match="^Broken did not take ADSA's results: ConnectionError: the server is gone"):
        report_to(Broken(), after, tmp_path=tmp_path)
    assert after.metrics


def test_metrics_are_what_the_fit_says():
    fit = a_fit(interval=(0.5, 1.5))
    before, after = fit.class_confidence_before.numpy(), fit.class_confidence.numpy()
    assert metrics_of(fit, num_alarms=2) == pytest.approx(
        {
            "adsa/tau": fit.tau,
            "adsa/identified": float(fit.identified),
            "adsa/spread_before": np.std(before),
            "adsa/spread_after": np.std(after),
            "adsa/num_alarms": 2.0,
            "adsa/tau_low": 0.5,
            "adsa/tau_high": 1.5,
        }
    )
    assert metrics_of(a_fit(interval=None, identified=False), num_alarms=0).keys() == {
        "adsa/tau", "adsa/identified", "adsa/spread_before", "adsa/spread_after", "adsa/num_alarms",
    }  # fmt: skip


def test_rows_of_the_images_go_from_head_to_tail():
    figure = figures_of(a_fit(), distilled_set(), class_prior=PRIOR.flip(0))["images"]
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["dog", "cat", "bee", "ant"]


def test_images_that_are_no_pictures_are_not_drawn():
    whole = distilled_set()
    odd = DistilledSet(
        images=whole.images.expand(-1, 2, -1, -1),
        intended_class=whole.intended_class,
        class_names=whole.class_names,
        mean=(0.4, 0.4),
        std=(0.3, 0.3),
    )
    assert figures_of(a_fit(), odd, class_prior=PRIOR).keys() == {"tau", "confidence"}


def test_a_fit_with_lightnings_own_logger_has_tau_in_it(tmp_path):
    distilled_set().save(tmp_path / "in")
    callback = ADSACallback(tmp_path / "in", output=tmp_path / "out", num_views=1)
    logger = CSVLogger(tmp_path / "logs")
    fit(callback, logger=[logger, recorder := LikeWandb()])
    with (tmp_path / "logs" / "lightning_logs" / "version_0" / "metrics.csv").open() as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("adsa/tau")]
    assert [float(row["adsa/tau"]) for row in rows] == [callback.tau_fit.tau]
    assert recorder.images.keys() == {"adsa/tau", "adsa/confidence", "adsa/images"}
    assert recorder.metrics[-1][0] == 24
