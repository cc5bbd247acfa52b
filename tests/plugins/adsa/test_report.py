from __future__ import annotations

import csv
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from adsa_small import distilled_set, fit
from lightning.pytorch.loggers import CSVLogger, Logger
from relabel_small import PRIOR, a_fit

from lt_callbacks.plugins import ADSACallback
from lt_callbacks.plugins.adsa import report
from lt_callbacks.plugins.adsa.report import ViewLines, log_report, metrics_of
from lt_callbacks.relabel.alarms import LabelQuality
from lt_callbacks.relabel.calibration import Calibration
from lt_callbacks.relabel.figures import figures_of, save_figures
from lt_callbacks.relabel.write import Report


def calibration(fit, *, alarms=()):
    quality = LabelQuality(recognised=torch.ones(4), entropy=torch.ones(4))
    return Calibration(fit=fit, label_fit=fit, quality=quality, alarms=alarms)


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


def report_to(*loggers, tmp_path):
    figures = figures_of(a_fit(), distilled_set(), class_prior=PRIOR)
    files = save_figures(figures, tmp_path)
    trainer = SimpleNamespace(loggers=list(loggers), global_step=7)
    log_report(trainer, {"adsa/tau": 1.5}, Report(figures=figures, files=files))
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
    assert metrics_of(calibration(fit, alarms=("one", "two"))) == pytest.approx(
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
    assert metrics_of(calibration(a_fit(interval=None, identified=False))).keys() == {
        "adsa/tau", "adsa/identified", "adsa/spread_before", "adsa/spread_after", "adsa/num_alarms",
    }  # fmt: skip


def test_a_long_labelling_says_how_far_it_is(monkeypatch):
    said, now = [], [100.0]
    monkeypatch.setattr(report, "rank_zero_info", said.append)
    monkeypatch.setattr(report.time, "monotonic", lambda: now[0])
    lines = ViewLines(9)
    for view, seconds in enumerate((1.0, 8.0, 12.0, 2.0, 30.0)):
        now[0] += seconds
        lines(view)
    assert said == ["ADSA: view 3 of 9 labelled", "ADSA: view 5 of 9 labelled"]


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
