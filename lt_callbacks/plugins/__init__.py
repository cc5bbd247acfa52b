"""The Lightning layer: what is attached to a module or a trainer."""

from lt_callbacks.plugins.adsa_callback import ADSACallback
from lt_callbacks.plugins.callback import DSinkCallback
from lt_callbacks.plugins.dsink import DSink
from lt_callbacks.plugins.mixin import DSinkMixin
from lt_callbacks.plugins.monitor import ProxyLabelMonitor
from lt_callbacks.plugins.naive import NaiveDistillation

__all__ = ["ADSACallback", "DSink", "DSinkCallback", "DSinkMixin", "NaiveDistillation", "ProxyLabelMonitor"]
