"""The Lightning layer: what is attached to a module or a trainer."""

from lt_callbacks.plugins.adsa_callback import ADSACallback
from lt_callbacks.plugins.callback import DSinkCallback
from lt_callbacks.plugins.dsink import DSink
from lt_callbacks.plugins.exact_resume import ExactResume
from lt_callbacks.plugins.mixin import DSinkMixin
from lt_callbacks.plugins.monitor import ProxyLabelMonitor
from lt_callbacks.plugins.naive import NaiveDistillation
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
