"""Documents of `lt-bench` with numbers that a test knows."""

FACTS = {
    "hardware": {"cpu": "A processor", "num_cores": 8, "gpus": ["A GPU"], "threads": 1},
    "versions": {"python": "3.12", "POT": None},
    "missing": ["POT"],
    "settings": {"device": "cpu", "common": {"epochs": 5}, "model": "small_cnn"},
}


def timed(median, **more):
    row = {"median_ms": median, "quartiles_ms": [0.9 * median, 1.1 * median], "min_ms": 0.8 * median, "num_samples": 3}
    return {**row, **more}


def solved(group, median, **more):
    facts = {"iterations": 5, "rows_normalised": False, "column_error": 1e-4, "row_error": 1e-7}
    return timed(median, group=group, **facts, distance_max_entry=1e-3, distance_mean_row_l1=1e-4, **more)


TRANSPORT_MEASUREMENT = {
    "mode": "corr",
    "num_rows": 128,
    "num_classes": 10,
    "sharpness": 3.0,
    "plain_sweeps": 28,
    "solvers": {
        "ours, torch": solved("ours", 0.5),
        "POT sinkhorn numpy": solved("library", 1.0),
        "naive log-domain": solved("loop", 4.0),
        "GeomLoss solve": {"group": "library", "not_timed": "column error 1e-2 in up to 1500 iterations"},
    },
    "ratios": {
        "ours, torch": {
            "best_peer": {"name": "POT sinkhorn numpy", "by_median": 2.0, "by_min": 2.0},
            "best_library": {"name": "POT sinkhorn numpy", "by_median": 2.0, "by_min": 2.0},
            "naive": {"name": "naive log-domain", "by_median": 8.0, "by_min": 8.0},
            "floor": {"name": "matvec numpy", "by_median": 0.8, "by_min": 0.8},
        }
    },
}


def document(kind, measurements):
    return {**FACTS, "kind": kind, "cells": measurements}
