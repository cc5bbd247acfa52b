from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lt_callbacks import _checks
from lt_callbacks._arrays import as_floats
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.evaluation.figures import figure_style as style
from lt_callbacks.evaluation.figures.percent_bars import BANDS_END, bar_lengths, is_cut

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The only quantity that is no percentage.
_LOSS = "train_loss"
_PANELS = {
    _LOSS: "training loss",
    "val_accuracy": "validation accuracy\nagainst given labels (%)",
    "test_accuracy": "test accuracy (%)",
    "wrong_labels_fitted": "wrong training\nlabels fitted (%)",
}


def training_curves_figure(curves: Mapping[str, Mapping[str, ArrayLike]], *, title: str = "Training curves") -> Figure:
    """Quantities over epochs by method: the mean over seeds, with a band of one standard deviation,
    within 0 and 100 % for accuracies.

    Each quantity that any method has gets a panel. An epoch that one of the seeds did not
    measure (NaN) is skipped.

    Args:
        curves: Method -> ``epoch`` (E,) and any of ``train_loss``, ``val_accuracy``, ``test_accuracy``,
            ``wrong_labels_fitted``, each (E,) for one seed or (S, E) for several. Accuracies are in percent.
        title: Title of the figure.

    Raises:
        ValueError: Nothing to draw, an unknown quantity, or one whose length is not that of ``epoch``.
    """
    if not isinstance(curves, Mapping):
        way_out = "Pass {'ce': {'epoch': [0, 1], 'train_loss': [2.1, 1.7]}}."
        raise ArgumentTypeError("curves", rule="map methods to curves", got=type(curves).__name__, way_out=way_out)
    checked = {method: _checked(method, record) for method, record in curves.items()}
    panels = [name for name in _PANELS if any(name in record for record in checked.values())]
    if not panels:
        rule, got = f"hold at least one of {', '.join(_PANELS)} for one method", f"{list(curves)} without any"
        raise ArgumentValueError("curves", rule=rule, got=got)
    width = 0.9 + 3.1 * len(panels)
    figure = style.new_figure(width, 3.2 + 0.2 * style.legend_rows(list(checked), width))
    row = figure.subplots(1, len(panels), squeeze=False)[0]
    handles, some_cut = {}, False
    for axes, name in zip(row, panels, strict=True):
        for position, (method, record) in enumerate(checked.items()):
            if name not in record:
                continue
            look = style.method_style(position)
            epoch, mean, spread = _over_seeds(record["epoch"], record[name])
            line = axes.plot(epoch, mean, linewidth=1.6, markersize=4, markevery=max(1, len(epoch) // 8), **look)[0]
            handles[method] = line
            if spread is not None:
                down, up = (spread, spread) if name == _LOSS else bar_lengths(mean, spread)
                some_cut |= name != _LOSS and is_cut(mean, spread)
                axes.fill_between(epoch, mean - down, mean + up, color=look["color"], alpha=0.18, linewidth=0)
        style.finish_axes(axes, xlabel="epoch", ylabel=_PANELS[name])
        axes.xaxis.get_major_locator().set_params(integer=True)
        if name != _LOSS:
            axes.set_ylim(0, 100)
    style.finish_axes(row[0], xlabel="epoch", ylabel=_PANELS[panels[0]], title=title)
    num_seeds = sorted(
        {len(values) for record in checked.values() for name, values in record.items() if name != "epoch"}
    )
    if num_seeds[-1] > 1:
        number = f"{num_seeds[0]}" if len(num_seeds) == 1 else f"{num_seeds[0]} to {num_seeds[-1]}"
        end = f"; {BANDS_END}" if some_cut else ""
        style.add_note(row[-1], f"mean over {number} seeds; band: ± 1 sd{end}")
    style.add_legend(figure, list(handles.values()), list(handles))
    return figure


def _checked(method: str, record: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    if not isinstance(record, Mapping):
        rule = "map `epoch` and quantities to values"
        raise ArgumentTypeError(f"curves[{method!r}]", rule=rule, got=type(record).__name__)
    if "epoch" not in record:
        got = ", ".join(record) or "nothing"
        raise ArgumentValueError(f"curves[{method!r}]", rule="hold `epoch`", got=got)
    epoch = as_floats(f"curves[{method!r}]['epoch']", record["epoch"])
    if epoch.ndim != 1 or not epoch.size:
        rule = "have shape (E,), E >= 1"
        raise ArgumentValueError(f"curves[{method!r}]['epoch']", rule=rule, got=str(epoch.shape))
    checked = {"epoch": epoch}
    for name, values in record.items():
        if name == "epoch":
            continue
        _checks.one_of(f"curves[{method!r}]", name, _PANELS)
        array = np.atleast_2d(as_floats(f"curves[{method!r}][{name!r}]", values))
        if array.ndim != 2 or array.shape[1] != len(epoch) or not len(array):
            raise ArgumentValueError(
                f"curves[{method!r}][{name!r}]",
                rule=f"have shape ({len(epoch)},) or (S, {len(epoch)}), as `epoch`",
                got=str(np.shape(values)),
                way_out="Put NaN where it was not measured.",
            )
        checked[name] = array
    return checked


def _over_seeds(epoch: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Mean and sample standard deviation at the epochs where every seed was measured."""
    measured = np.isfinite(values).all(axis=0)
    kept = values[:, measured]
    spread = kept.std(axis=0, ddof=1) if len(kept) > 1 else None
    return epoch[measured], kept.mean(axis=0), spread
