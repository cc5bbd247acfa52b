"""The Lightning layer: what is attached to a module or a trainer."""

from lt_callbacks.plugins.adsa.callback import ADSACallback
from lt_callbacks.plugins.dsink.callback import DSinkCallback
from lt_callbacks.plugins.dsink.dsink import DSink
from lt_callbacks.plugins.dsink.mixin import DSinkMixin
from lt_callbacks.plugins.dsink.monitor import ProxyLabelMonitor
from lt_callbacks.plugins.dsink.naive import NaiveDistillation
from lt_callbacks.plugins.exact_resume import ExactResume
from lt_callbacks.plugins.rank_agreement import RankAgreement

__all__ = [
    "ADSACallback",
    "DSink",
    "DSinkCallback",
    "DSinkMixin",
    "ExactResume",
    "NaiveDistillation",
    "ProxyLabelMonitor",
    "RankAgreement",
]
