"""Figures of data, training and comparisons, drawn from plain arrays and records."""
