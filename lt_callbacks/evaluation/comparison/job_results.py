from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.records.json_result import ResultDocument
from lt_callbacks.evaluation.records.results import CellResult

# What running again changes although nothing was changed.
_COSTS = ("reused", "teachers")
_OPTIONAL_SHARES = ("many", "medium", "few", "best_accuracy", "wrong_labels_fitted")


@dataclass(frozen=True, kw_only=True)
class SettingResults:
    """All cells of one setting, pooled over documents.

    Attributes:
        values: Axis of the comparison -> value here; ``None`` for null.
        cells: Each method and seed once, methods in the order of the comparison, seeds ascending.
        sources: For each cell, the name of its document.
    """

    values: dict[str, Any]
    cells: tuple[CellResult, ...]
    sources: tuple[str, ...]

    @property
    def label(self) -> str:
        """Such as ``noise.ratio=0.4, imbalance.factor=100``; empty where the comparison has one setting."""
        return ", ".join(f"{axis}={setting_axes.text(value)}" for axis, value in self.values.items())

    @property
    def short_label(self) -> str:
        """The values alone, such as ``0.4 / 100``."""
        return " / ".join(setting_axes.text(value) for value in self.values.values())

    def of(self, method: str) -> list[CellResult]:
        """The cells of a method; none where it was not run here."""
        return [cell for cell in self.cells if cell.method == method]


@dataclass(frozen=True, kw_only=True)
class Follower:
    """A setting that differs between documents, but needs no axis of its own.

    Attributes:
        axis: Whose value says the value of this one.
        values: (Value of the axis, value of this one), ascending by the first.
    """

    axis: str
    values: tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Results of many runs, by what differs between them.

    Attributes:
        axes: Settings that differ, as dotted keys; empty where there is one setting.
        follows: Other settings that differ -> the axis whose value says theirs, and what it says.
        common: Settings that all share, as dotted keys; ``null`` ones are left out.
        settings: In the order of the values of the axes.
        methods: In the order in which the documents have them.
        repeated: A sentence for each cell that two documents have alike; it counts once.
    """

    axes: tuple[str, ...]
    follows: dict[str, Follower]
    common: dict[str, Any]
    settings: tuple[SettingResults, ...]
    methods: tuple[str, ...]
    repeated: tuple[str, ...]

    def values(self, axis: str) -> list[Any]:
        """Values of an axis, ascending."""
        found = {setting_axes.identity(setting.values[axis]): setting.values[axis] for setting in self.settings}
        return sorted(found.values(), key=setting_axes.order)

    def at(self, values: Mapping[str, Any]) -> list[SettingResults]:
        """Settings that have these values on these axes; all of them for no value."""
        wanted = {axis: setting_axes.identity(value) for axis, value in values.items()}
        return [
            setting
            for setting in self.settings
            if all(setting_axes.identity(setting.values[axis]) == value for axis, value in wanted.items())
        ]

    @property
    def seeds(self) -> list[int]:
        """Seeds of all cells, ascending."""
        return sorted({cell.seed for setting in self.settings for cell in setting.cells})

    @property
    def num_cells(self) -> int:
        """Cells of all settings."""
        return sum(len(setting.cells) for setting in self.settings)

    def unaffected(self) -> dict[str, list[str]]:
        """Axis -> methods whose cells are the same for all its values: cross-entropy does not know D-SINK's weight."""
        found: dict[str, list[str]] = {}
        for axis in self.axes:
            for method in self.methods:
                if self._is_unaffected(method, axis):
                    found.setdefault(axis, []).append(method)
        return found

    def _is_unaffected(self, method: str, axis: str) -> bool:
        by_rest: dict[str, list[dict[int, Any]]] = {}
        for setting in self.settings:
            rest = setting_axes.identity({name: value for name, value in setting.values.items() if name != axis})
            scores = {cell.seed: (cell.accuracy, cell.per_class) for cell in setting.of(method)}
            if scores:
                by_rest.setdefault(rest, []).append(scores)
        compared = [runs for runs in by_rest.values() if len(runs) > 1]
        return bool(compared) and all(run == runs[0] for runs in compared for run in runs)


def pool_results(documents: Mapping[str, ResultDocument], *, group_by: Sequence[str] = ()) -> Comparison:
    """Cells of equal settings are pooled, whichever documents they lie in; settings that differ become axes.

    A share that only some seeds of a method have at a setting is left out there: its mean would be of other seeds than
    that of the accuracy.

    Args:
        documents: Name, as errors shall call it -> document. One without cells is left out.
        group_by: Settings that are axes in any case, in this order, before the others.

    Raises:
        ValueError: No cells at all, a method and seed twice with different results at one setting, or an unknown
            setting in ``group_by``.
    """
    parts = [
        (name, {**setting_axes.flatten(document.settings), **({"cell": label} if label else {})}, cells)
        for name, document in documents.items()
        for label, cells in _by_cell(document).items()
    ]
    if not parts:
        raise ValueError(
            f"`documents` must hold at least one finished cell; got {len(documents)} documents without any. "
            "Wait for the first result."
        )
    flats = [flat for _, flat, _ in parts]
    axes, follows = setting_axes.find_axes(flats, first=group_by)
    methods = tuple(dict.fromkeys(cell.method for _, _, cells in parts for cell in cells))
    pools: dict[str, dict[str, Any]] = {}
    repeated: list[str] = []
    for name, flat, cells in parts:
        values = {axis: flat.get(axis) for axis in axes}
        pool = pools.setdefault(setting_axes.identity(flat), {"values": values, "cells": {}})
        for cell in cells:
            _add(pool["cells"], cell, name, repeated)
    settings = [_setting(pool["values"], pool["cells"], methods) for pool in pools.values()]
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


def _by_cell(document: ResultDocument) -> dict[str, list[CellResult]]:
    found: dict[str, list[CellResult]] = {}
    for cell in document.cells:
        found.setdefault(cell.cell, []).append(cell)
    return found


def _add(
    cells: dict[tuple[str, int], tuple[CellResult, str]], cell: CellResult, name: str, repeated: list[str]
) -> None:
    key = cell.method, cell.seed
    if key not in cells:
        cells[key] = (cell, name)
        return
    other, other_name = cells[key]
    if _outcome(cell) != _outcome(other):
        raise ValueError(
            f"`documents` must hold each method and seed once at a setting, or twice alike; {cell.method!r} with seed "
            f"{cell.seed} has accuracy {other.accuracy:.6g} in {other_name} and {cell.accuracy:.6g} in {name}, with "
            "equal settings. Leave one of the two out."
        )
    repeated.append(f"{cell.method}, seed {cell.seed}: alike in {other_name} and {name}, counted once.")


def _outcome(cell: CellResult) -> CellResult:
    extra = {name: value for name, value in cell.extra.items() if name not in _COSTS}
    return replace(cell, seconds=0.0, extra=extra)


def _setting(
    values: dict[str, Any], cells: dict[tuple[str, int], tuple[CellResult, str]], methods: tuple[str, ...]
) -> SettingResults:
    keys = sorted(cells, key=lambda key: (methods.index(key[0]), key[1]))
    # the document's name of a setting is an axis now; tables refuse to mix settings
    pooled = [replace(cells[key][0], cell="") for key in keys]
    return SettingResults(
        values=values,
        cells=tuple(_without_partial_shares(pooled)),
        sources=tuple(cells[key][1] for key in keys),
    )


def _without_partial_shares(cells: list[CellResult]) -> list[CellResult]:
    partial: dict[str, dict[str, None]] = {}
    for method in dict.fromkeys(cell.method for cell in cells):
        runs = [cell for cell in cells if cell.method == method]
        for name in _OPTIONAL_SHARES:
            known = [getattr(run, name) is not None for run in runs]
            if any(known) and not all(known):
                partial.setdefault(method, {})[name] = None
    return [replace(cell, **partial.get(cell.method, {})) for cell in cells]  # type: ignore[arg-type]
