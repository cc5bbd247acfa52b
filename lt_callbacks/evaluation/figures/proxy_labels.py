from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from lt_callbacks._arrays import as_array, as_floats
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.figures import class_axis, fonts
from lt_callbacks.evaluation.figures import figure_style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_SHOWN_WHOLE = 20
_NUM_TOP = 5
_MOST_SAMPLES = 12
_LONGEST_PLACE = 28
# Dark blue and light orange differ in lightness too; the hatch marks the given label even in a bad copy
_TRUE: dict[str, Any] = {"facecolor": style.BLUE, "edgecolor": style.BLUE}
_GIVEN: dict[str, Any] = {"facecolor": style.ORANGE, "edgecolor": "#7A5200", "hatch": "////"}
_BOTH: dict[str, Any] = {"facecolor": style.BLUE, "edgecolor": "white", "hatch": "////"}
_OTHER: dict[str, Any] = {"facecolor": "#BDBDBD", "edgecolor": "#BDBDBD"}
_REST: dict[str, Any] = {"facecolor": "#E6E6E6", "edgecolor": "#E6E6E6"}
_WRONG_TEXT = "#8A5A00"


def proxy_labels_figure(
    *,
    images: ArrayLike,
    given_label: ArrayLike,
    noise_probs: ArrayLike,
    imbalance_probs: ArrayLike,
    student_probs: ArrayLike,
    proxy_labels: ArrayLike,
    true_label: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    sample_names: Sequence[str] | None = None,
    title: str = "From two weak teachers to proxy labels",
) -> Figure:
    """Samples, one a row: the image, then what both teachers, the target model and the proxy label say about it.

    Bars of the given and of the true label stand out by colour and hatch. Up to 20 classes each panel shows all of
    them; beyond, each row shows the five classes that any of the four rates highest, the given and the true label
    among them in any case, and one bar for the rest, so that bars still sum to 1.

    Args:
        images: (S, H, W), (S, 1, H, W) or (S, 3, H, W), uint8 or float in [0, 1]; S of 6 to 8 reads best, at most 12.
        given_label: (S,) labels used in training.
        noise_probs: (S, C) predictions of the noise-robust teacher f_N.
        imbalance_probs: (S, C) predictions of the imbalance-robust teacher f_L.
        student_probs: (S, C) predictions p of the target model.
        proxy_labels: (S, C) proxy labels Q.
        true_label: (S,) clean labels where they are known.
        class_names: (C,) names; class numbers where left out.
        sample_names: (S,) where each sample is found, such as its file; below its image, cut where it is long.
        title: Title of the figure.

    Raises:
        ValueError: Shapes disagree, rows are no distributions, labels are out of range, or pixels are.
    """
    panels = {
        "noise_probs": (noise_probs, "noise teacher $f_N$"),
        "imbalance_probs": (imbalance_probs, "imbalance teacher $f_L$"),
        "student_probs": (student_probs, "target model $p$"),
        "proxy_labels": (proxy_labels, "proxy label $Q$"),
    }
    probs = {name: _distributions(name, values) for name, (values, _) in panels.items()}
    num_samples, num_classes = probs["proxy_labels"].shape
    for name, values in probs.items():
        if values.shape != (num_samples, num_classes):
            rule = f"have the shape of `proxy_labels`, {(num_samples, num_classes)}"
            raise ArgumentValueError(name, rule=rule, got=str(values.shape))
    if num_samples > _MOST_SAMPLES:
        rule = f"hold at most {_MOST_SAMPLES} samples"
        raise ArgumentValueError("proxy_labels", rule=rule, got=str(num_samples), way_out="Pick some: `[:8]`.")
    given = _labels("given_label", given_label, num_samples, num_classes)
    true = None if true_label is None else _labels("true_label", true_label, num_samples, num_classes)
    pictures = _pictures(images, num_samples)
    names = class_axis.names_of(class_names, num_classes, longest=16)
    is_whole = num_classes <= _MOST_SHOWN_WHOLE
    stacked = np.stack(list(probs.values()), axis=1)  # (S, 4, C)
    figure, grid = _layout(num_samples, num_classes, names)
    if sample_names is not None and len(sample_names) != num_samples:
        rule = f"hold one name a sample ({num_samples})"
        raise ArgumentValueError("sample_names", rule=rule, got=str(len(sample_names)), way_out="Leave it out.")
    for row in range(num_samples):
        if sample_names is not None:
            name = sample_names[row]
            shown = name if len(name) <= _LONGEST_PLACE else "…" + name[1 - _LONGEST_PLACE :]
            grid[row][0].set_xlabel(shown, fontsize=style.TICK_SIZE - 2, labelpad=2, loc="left")
        true_here = None if true is None else int(true[row])
        _show_sample(grid[row][0], grid[row][1], pictures[row], names, int(given[row]), true_here)
        draw = _all_classes if is_whole else _top_classes
        draw(grid[row][2:], stacked[row], names, int(given[row]), true_here, is_last=row == num_samples - 1)
    for axes, (_, heading) in zip(grid[0][2:], panels.values(), strict=True):
        axes.set_title(heading, fontsize=style.LABEL_SIZE)
    grid[0][-1].title.set_weight("bold")
    figure.suptitle(title, fontsize=style.TITLE_SIZE, x=0.01, ha="left")
    _legend(figure, has_true=true is not None)
    return figure


def top_classes(probs: np.ndarray, keep: Sequence[int], *, num_top: int = _NUM_TOP) -> list[int]:
    """The ``num_top`` classes with the highest value in any row of ``probs``, those in ``keep`` included.

    Args:
        probs: (P, C) distributions.
        keep: Labels that are shown whatever their probability.
        num_top: How many classes to return.

    Returns:
        Labels by falling largest probability.
    """
    peak = probs.max(axis=0)
    order = np.argsort(-peak, kind="stable").tolist()
    wanted = list(dict.fromkeys(keep))
    rest = [label for label in order if label not in wanted][: max(0, num_top - len(wanted))]
    return sorted(wanted + rest, key=order.index)


def _layout(num_samples: int, num_classes: int, names: Sequence[str]) -> tuple[Figure, Any]:
    text = 0.2 + 0.068 * max(5, *map(fonts.width, names))
    if num_classes <= _MOST_SHOWN_WHOLE:
        panel, row, below = max(1.45, 0.145 * num_classes), 0.86, 0.25 + class_axis.name_height(names)
    else:  # class names stand beside the first panel too
        panel, row, below = 1.3 + text / 4, 1.06, 0.45
    figure = style.new_figure(0.9 + text + 4 * (panel + 0.1), 0.9 + below + row * num_samples)
    return figure, figure.subplots(num_samples, 6, squeeze=False, width_ratios=[0.85, text, *[panel] * 4])


def _show_sample(
    image: Axes, text: Axes, picture: np.ndarray, names: Sequence[str], given: int, true: int | None
) -> None:
    is_wrong = true is not None and true != given
    image.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    image.set_xticks([])
    image.set_yticks([])
    image.spines[:].set(color=style.GREY, linewidth=0.5)
    text.set_axis_off()
    lines = [("given", "#555555", "normal"), (names[given], _WRONG_TEXT if is_wrong else style.BLUE, "bold")]
    if true is None:
        lines[1] = (names[given], "black", "bold")
    else:
        lines += [("true", "#555555", "normal"), (names[true], style.BLUE, "bold")]
    for place, (line, colour, weight) in enumerate(lines):
        height = 0.5 + 0.21 * (len(lines) / 2 - 0.5 - place)
        text.text(0, height, line, fontsize=style.TICK_SIZE, color=colour, weight=weight, va="center", clip_on=False)


def _all_classes(
    panels: Sequence[Axes], probs: np.ndarray, names: Sequence[str], given: int, true: int | None, *, is_last: bool
) -> None:
    for position, (axes, values) in enumerate(zip(panels, probs, strict=True)):
        for label, value in enumerate(values):
            axes.bar(label, value, 0.85, linewidth=0, **_look(label, given, true))
        style.finish_axes(axes)
        axes.set_ylim(0, 1)
        axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"] if position == 0 else [""] * 3)
        class_axis.name_classes(axes, names if is_last else [""] * len(names))
        axes.tick_params(axis="x", labelsize=style.TICK_SIZE - 1, length=2)
        if position == 0:
            axes.set_ylabel("probability", fontsize=style.TICK_SIZE - 1)
        if is_last:
            axes.set_xlabel("class", fontsize=style.TICK_SIZE)


def _top_classes(
    panels: Sequence[Axes], probs: np.ndarray, names: Sequence[str], given: int, true: int | None, *, is_last: bool
) -> None:
    keep = [given] if true is None else [given, true]
    shown = top_classes(probs, keep)
    rows = [*(names[label] for label in shown), f"{probs.shape[1] - len(shown)} others"]
    for position, (axes, values) in enumerate(zip(panels, probs, strict=True)):
        for place, label in enumerate(shown):
            axes.barh(place, values[label], 0.8, linewidth=0, **_look(label, given, true))
        axes.barh(len(shown), max(0.0, 1 - values[shown].sum()), 0.8, linewidth=0, **_REST)
        style.finish_axes(axes, grid="x")
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.set_yticks(range(len(rows)), rows if position == 0 else [""] * len(rows), fontsize=style.TICK_SIZE - 0.5)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"] if is_last else [""] * 3)
        if is_last:
            axes.set_xlabel("probability", fontsize=style.TICK_SIZE)


def _look(label: int, given: int, true: int | None) -> dict[str, Any]:
    if label == given:
        return _BOTH if label == true else _GIVEN
    return _TRUE if label == true else _OTHER


def _legend(figure: Figure, *, has_true: bool) -> None:
    from matplotlib.patches import Patch

    looks = {"given label": _GIVEN}
    if has_true:
        looks = {"given label, wrong": _GIVEN, "true label": _TRUE, "given = true label": _BOTH}
    handles = [Patch(linewidth=0, **look) for look in looks.values()]
    style.add_legend(figure, handles, list(looks))


def _distributions(name: str, values: ArrayLike) -> np.ndarray:
    probs = as_floats(name, values)
    if probs.ndim != 2 or not probs.size:
        raise ArgumentValueError(name, rule="have shape (S, C), one row a sample", got=str(probs.shape))
    off = np.flatnonzero(~((probs >= 0).all(axis=1) & (np.abs(probs.sum(axis=1) - 1) < 1e-2)))
    if off.size:
        raise ArgumentValueError(
            name,
            rule="have rows >= 0 that sum to 1",
            got=f"minimum {probs[off[0]].min():.3g} and sum {probs[off[0]].sum():.3g} in row {off[0]}",
            way_out="Pass probabilities: `log_probs.exp()` or `logits.softmax(1)`.",
        )
    return probs


def _labels(name: str, values: ArrayLike, num_samples: int, num_classes: int) -> np.ndarray:
    labels = as_array(name, values)
    if labels.shape != (num_samples,) or not np.issubdtype(labels.dtype, np.integer):
        got = f"shape {labels.shape}, dtype {labels.dtype}"
        raise ArgumentValueError(name, rule=f"be ({num_samples},) integers", got=got)
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        raise ArgumentValueError(
            name,
            rule=f"lie in 0..{num_classes - 1}",
            got=f"{labels[outside[0]]} for sample {outside[0]}",
            way_out="Check that labels and probabilities belong to the same data set.",
        )
    return labels


def _pictures(images: ArrayLike, num_samples: int) -> np.ndarray:
    """(S, H, W) or (S, H, W, 3) float in [0, 1]."""
    pixels = as_array("images", images)
    is_grey = pixels.ndim == 3
    if (
        not (is_grey or (pixels.ndim == 4 and pixels.shape[1] in (1, 3)))
        or len(pixels) != num_samples
        or not pixels.size
    ):
        rule = f"have shape ({num_samples}, H, W), ({num_samples}, 1, H, W) or ({num_samples}, 3, H, W)"
        raise ArgumentValueError("images", rule=rule, got=str(pixels.shape), way_out="Channels come first.")
    pixels = pixels / 255 if pixels.dtype == np.uint8 else as_floats("images", pixels)
    if not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ArgumentValueError(
            "images",
            rule="be uint8 or lie in [0, 1]",
            got=f"{pixels.min():.3g} to {pixels.max():.3g}",
            way_out="Undo the normalisation: `images * std + mean`.",
        )
    if is_grey:
        return pixels
    return pixels[:, 0] if pixels.shape[1] == 1 else np.moveaxis(pixels, 1, -1)
