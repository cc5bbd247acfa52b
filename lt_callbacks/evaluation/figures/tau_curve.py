from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lt_callbacks import _checks
from lt_callbacks._arrays import as_floats
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.evaluation.figures import figure_style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def tau_curve_figure(
    taus: ArrayLike,
    spread: ArrayLike,
    *,
    tau: float,
    interval: tuple[float, float] | None = None,
    identified: bool = True,
    reason: str | None = None,
    unshrunk_tau: float | None = None,
    title: str = "Strength of the logit adjustment",
) -> Figure:
    """How unequal the classes' confidences are at each strength tau, and the tau that was chosen.

    The standard deviation over classes of the mean probability of the intended class is smallest at the fitted tau.
    A deep valley says that the distilled images settle tau; a flat floor, or a wide interval, says that they do not.
    The dotted line marks tau = 1, the value for a teacher that has the class prior exactly.

    Args:
        taus: (T,) ascending strengths.
        spread: (T,) population standard deviation over classes, in probability.
        tau: The strength used.
        interval: Ends of its interval; None: not known.
        identified: False: the figure says so.
        reason: Why tau is not identified, in a few words.
        unshrunk_tau: The minimum of the curve where ``tau`` was drawn to another value; marked where it differs.
        title: Title of the figure.

    Raises:
        ValueError: Shapes disagree, values are not finite, ``taus`` does not rise, or the interval's ends are swapped.
    """
    places, values = _curve(taus, spread)
    tau = _checks.real("tau", tau)
    figure = style.new_figure(5.6, 3.6 if identified else 4.1)
    axes = figure.add_subplot()
    if interval is not None:
        if not isinstance(interval, tuple | list) or len(interval) != 2:
            raise ArgumentTypeError("interval", rule="be (low, high)", got=repr(interval))
        low, high = (_checks.real("interval", end) for end in interval)
        if low > high:
            raise ArgumentValueError("interval", rule="be (low, high)", got=str(interval), way_out="Swap its ends.")
        axes.axvspan(low, high, color=style.SKY, alpha=0.25, linewidth=0, label=f"interval {low:.2f} to {high:.2f}")
    axes.axvline(1.0, color=style.GREY, linestyle=(0, (1, 1.5)), linewidth=1.2, label="τ = 1")
    axes.plot(places, values, color=style.BLUE, linewidth=1.8)
    unshrunk_tau = None if unshrunk_tau is None else _checks.real("unshrunk_tau", unshrunk_tau)
    if unshrunk_tau is not None and abs(unshrunk_tau - tau) > 1e-6:
        at_minimum = np.interp(unshrunk_tau, places, values)
        look = {"color": style.GREEN, "marker": "s", "markersize": 6, "linestyle": "none"}
        axes.plot(unshrunk_tau, at_minimum, label=f"minimum {unshrunk_tau:.2f}", zorder=4, **look)  # type: ignore[arg-type]
    look = {"color": style.VERMILION, "marker": "o", "markersize": 7, "linestyle": "none"}
    axes.plot(tau, np.interp(tau, places, values), label=f"τ = {tau:.2f} (used)", zorder=5, **look)  # type: ignore[arg-type]
    style.finish_axes(
        axes, xlabel="strength τ", ylabel="standard deviation over classes\nof the confidence", title=title
    )
    axes.set_xlim(places[0], places[-1])
    axes.set_ylim(0, 1.08 * values.max() if values.max() > 0 else 1)
    style.add_legend(figure, *axes.get_legend_handles_labels())
    if not identified:
        _say_not_identified(axes, reason)
    return figure


def _say_not_identified(axes: Axes, reason: str | None) -> None:
    text = "not identified" if reason is None else f"not identified: {reason}"
    # The title's second line, so that it can hide no part of the curve.
    title = axes.get_title(loc="left")
    axes.set_title(title + "\n" + "\n".join(textwrap.wrap(text, 58)), fontsize=style.TITLE_SIZE, loc="left")


def _curve(taus: ArrayLike, spread: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    places, values = as_floats("taus", taus), as_floats("spread", spread)
    if places.ndim != 1 or len(places) < 2:
        raise ArgumentValueError("taus", rule="have shape (T,) with T >= 2", got=str(places.shape))
    if values.shape != places.shape:
        rule = f"have the shape of `taus`, {places.shape}"
        raise ArgumentValueError("spread", rule=rule, got=str(values.shape))
    if not (np.diff(places) > 0).all():
        way_out = "Sort `taus` and `spread` by `taus`."
        raise ArgumentValueError("taus", rule="rise strictly", got="values that do not", way_out=way_out)
    for name, numbers in (("taus", places), ("spread", values)):
        if not np.isfinite(numbers).all():
            way_out = "Leave out classes without images."
            raise ArgumentValueError(name, rule="be finite", got="NaN or infinity", way_out=way_out)
    return places, values
