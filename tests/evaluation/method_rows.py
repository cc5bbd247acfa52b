"""Rows of two methods with three seeds, one of whose names looks like markup."""

from __future__ import annotations

from made_results import method_result

from lt_callbacks.evaluation import TableRow, summarise


def method_rows() -> list[TableRow]:
    results = []
    for seed, (plain, ours) in enumerate([(50.0, 71.0), (52.0, 72.0), (54.0, 76.0)]):
        results.append(method_result("CE", seed, plain, few=None, wrong_labels_fitted=90.0 + seed))
        name = "D-SINK | a_b [x]"
        results.append(method_result(name, seed, ours, few=None, wrong_labels_fitted=5.0, best_accuracy=80.0))
    return summarise(results, reference="CE")
