"""Optimal transport with prescribed marginals."""

from lt_callbacks.transport.result import SinkhornResult
from lt_callbacks.transport.sinkhorn import sinkhorn

__all__ = ["SinkhornResult", "sinkhorn"]
