"""What a comparison of many runs is: settings, the axes in which they differ, and the results at each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lt_callbacks.evaluation.comparison import setting_axes
from lt_callbacks.evaluation.records.method_result import MethodResult, scored_on


@dataclass(frozen=True, kw_only=True)
class SettingResults:
    """All results at one setting, pooled over documents.

    Attributes:
        values: Axis of the comparison -> value here; ``None`` for null.
        results: Each method and seed once, methods in the order of the comparison, seeds ascending.
        sources: For each result, the name of its document.
    """

    values: dict[str, Any]
    results: tuple[MethodResult, ...]
    sources: tuple[str, ...]

    @property
    def title(self) -> str:
        """The axes with their values here, such as ``noise.ratio=0.4, imbalance.factor=100``; empty without axes."""
        return ", ".join(f"{axis}={setting_axes.text(value)}" for axis, value in self.values.items())

    @property
    def short_title(self) -> str:
        """The values of the axes alone, such as ``0.4 / 100``."""
        return " / ".join(setting_axes.text(value) for value in self.values.values())

    def of(self, method: str) -> list[MethodResult]:
        """The results of a method; none where it was not run here."""
        return [result for result in self.results if result.method == method]


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
        repeated: A sentence for each result that two documents have alike; it counts once.
    """

    axes: tuple[str, ...]
    follows: dict[str, Follower]
    common: dict[str, Any]
    settings: tuple[SettingResults, ...]
    methods: tuple[str, ...]
    repeated: tuple[str, ...]

    def values(self, axis: str) -> list[Any]:
        """Values that an axis takes in the comparison, ascending."""
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
        """Seeds of all results, ascending."""
        return sorted({result.seed for setting in self.settings for result in setting.results})

    @property
    def scored_on(self) -> str:
        """What the shares of all results are percentages of, in words."""
        return scored_on([result for setting in self.settings for result in setting.results])

    @property
    def num_results(self) -> int:
        """How many results there are at all settings together."""
        return sum(len(setting.results) for setting in self.settings)

    def unaffected(self) -> dict[str, list[str]]:
        """Axis -> methods with the same results at all its values: cross-entropy does not know D-SINK's weight."""
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
            scores = {result.seed: (result.accuracy, result.per_class) for result in setting.of(method)}
            if scores:
                by_rest.setdefault(rest, []).append(scores)
        compared = [runs for runs in by_rest.values() if len(runs) > 1]
        return bool(compared) and all(run == runs[0] for runs in compared for run in runs)
