"""Hydra configs, reachable as ``pkg://lt_callbacks.conf``."""
