"""One relabelling of a distilled set: observations, tau, alarms, calibrated labels, folder. No Lightning."""

from lt_callbacks.relabel.calibration import Calibration, find_calibration
from lt_callbacks.relabel.folder import RelabelledFolder
from lt_callbacks.relabel.relabel import Relabelled, relabel
from lt_callbacks.relabel.settings import RelabelSettings
from lt_callbacks.relabel.source import LogitSource, network_source
from lt_callbacks.relabel.task import RelabelTask

__all__ = [
    "Calibration",
    "LogitSource",
    "RelabelSettings",
    "RelabelTask",
    "Relabelled",
    "RelabelledFolder",
    "find_calibration",
    "network_source",
    "relabel",
]
