from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.comparison.comparison import Comparison, Follower, SettingResults
from lt_callbacks.evaluation.records.json_result import ResultDocument
from lt_callbacks.evaluation.records.method_result import MethodResult

# What running again changes although nothing was changed.
_COSTS = ("reused", "teachers")
_OPTIONAL_SHARES = ("many", "medium", "few", "best_accuracy", "wrong_labels_fitted")

# (method, seed) -> the result and the name of its document.
_Pool = dict[tuple[str, int], tuple[MethodResult, str]]


def pool_results(documents: Mapping[str, ResultDocument], *, group_by: Sequence[str] = ()) -> Comparison:
    """Pool the results of equal settings, whichever documents they lie in; settings that differ become axes.

    A share that only some seeds of a method have at a setting is left out there: its mean would be of other seeds than
    that of the accuracy.

    Args:
        documents: Name, as errors shall call it -> document. One without results is left out.
        group_by: Settings that are axes in any case, in this order, before the others.

    Raises:
        ValueError: No results at all, a method and seed twice with different results at one setting, or an unknown
            setting in ``group_by``.
    """
    parts = [
        (name, {**setting_axes.flatten(document.settings), **({"setting": setting} if setting else {})}, results)
        for name, document in documents.items()
        for setting, results in _by_setting(document).items()
    ]
    if not parts:
        rule, got = "hold at least one finished result", f"{len(documents)} documents without any"
        raise ArgumentValueError("documents", rule=rule, got=got, way_out="Wait for the first result.")
    flats = [flat for _, flat, _ in parts]
    axes, follows = setting_axes.find_axes(flats, first=group_by)
    methods = tuple(dict.fromkeys(result.method for _, _, results in parts for result in results))
    pools: dict[str, tuple[dict[str, Any], _Pool]] = {}
    repeated: list[str] = []
    for name, flat, results in parts:
        _, pool = pools.setdefault(setting_axes.identity(flat), ({axis: flat.get(axis) for axis in axes}, {}))
        for result in results:
            _add(pool, result, name, repeated)
    settings = [_setting(values, pool, methods) for values, pool in pools.values()]
    differing = {*axes, *follows}
    return Comparison(
        axes=axes,
        follows={key: _follower(key, axis, flats) for key, axis in follows.items()},
        common={key: value for key, value in flats[0].items() if key not in differing},
        settings=tuple(sorted(settings, key=lambda s: [setting_axes.order(value) for value in s.values.values()])),
        methods=methods,
        repeated=tuple(repeated),
    )


def _follower(key: str, axis: str, flats: Sequence[dict[str, Any]]) -> Follower:
    pairs = {setting_axes.identity(flat.get(axis)): (flat.get(axis), flat.get(key)) for flat in flats}
    return Follower(axis=axis, values=tuple(sorted(pairs.values(), key=lambda pair: setting_axes.order(pair[0]))))


def _by_setting(document: ResultDocument) -> dict[str, list[MethodResult]]:
    found: dict[str, list[MethodResult]] = {}
    for result in document.results:
        found.setdefault(result.setting, []).append(result)
    return found


def _add(pool: _Pool, result: MethodResult, name: str, repeated: list[str]) -> None:
    key = result.method, result.seed
    if key not in pool:
        pool[key] = (result, name)
        return
    other, other_name = pool[key]
    if _outcome(result) != _outcome(other):
        raise ArgumentValueError(
            "documents",
            rule="hold each method and seed once at a setting, or twice alike",
            got=f"{result.method!r} with seed {result.seed}, accuracy {other.accuracy:.6g} in {other_name} and "
            f"{result.accuracy:.6g} in {name}, with equal settings",
            way_out="Leave one of the two out.",
        )
    repeated.append(f"{result.method}, seed {result.seed}: alike in {other_name} and {name}, counted once.")


def _outcome(result: MethodResult) -> MethodResult:
    extra = {name: value for name, value in result.extra.items() if name not in _COSTS}
    return replace(result, seconds=0.0, extra=extra)


def _setting(values: dict[str, Any], pool: _Pool, methods: tuple[str, ...]) -> SettingResults:
    keys = sorted(pool, key=lambda key: (methods.index(key[0]), key[1]))
    # the document's name of a setting is an axis now; tables refuse to mix settings
    pooled = [replace(pool[key][0], setting="") for key in keys]
    return SettingResults(
        values=values,
        results=tuple(_without_partial_shares(pooled)),
        sources=tuple(pool[key][1] for key in keys),
    )


def _without_partial_shares(results: list[MethodResult]) -> list[MethodResult]:
    partial: dict[str, dict[str, None]] = {}
    for method in dict.fromkeys(result.method for result in results):
        runs = [result for result in results if result.method == method]
        for name in _OPTIONAL_SHARES:
            known = [getattr(run, name) is not None for run in runs]
            if any(known) and not all(known):
                partial.setdefault(method, {})[name] = None
    return [replace(result, **partial.get(result.method, {})) for result in results]  # type: ignore[arg-type]
