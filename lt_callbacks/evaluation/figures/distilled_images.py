from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lt_callbacks import _checks
from lt_callbacks._arrays import as_array, as_floats
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.evaluation.figures import class_axis, fonts
from lt_callbacks.evaluation.figures import figure_style as style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_ROWS = 100
_ROWS_A_BLOCK = 25
# Pixels of a drawn image: small ones are enlarged by whole factors, large ones averaged, so that a grid of a thousand
# stays a few megabytes.
_LEAST_PIXELS, _MOST_PIXELS = 32, 96


def distilled_images_figure(
    images: ArrayLike,
    intended_class: ArrayLike,
    *,
    class_names: Sequence[str] | None = None,
    per_class: int = 10,
    classes: Sequence[int] | None = None,
    title: str = "Distilled images",
) -> Figure:
    """The distilled images, one row a class: the first ``per_class`` of each, in the order of the set.

    More than 25 classes stand in blocks beside each other; of more than 100, a hundred evenly spaced ones are shown.

    Args:
        images: (N, 1, H, W) or (N, 3, H, W), uint8 or float in [0, 1].
        intended_class: (N,) integers, the class that each image was made for.
        class_names: (C,) names; class numbers where left out.
        per_class: Most images of a class, >= 1.
        classes: Labels of the rows, from top to bottom; None: every class that has images, in label order.
        title: Title of the figure.

    Raises:
        ValueError: Shapes disagree, pixels or labels are out of range, or a class asked for has no image.
    """
    pixels, intended = _checked(images, intended_class)
    per_class = _checks.integer("per_class", per_class, at_least=1)
    num_classes = int(intended.max()) + 1 if class_names is None else len(class_names)
    if intended.max() >= num_classes:
        rule, got = f"name class {int(intended.max())} too", f"{num_classes} names"
        raise ArgumentValueError("class_names", rule=rule, got=got)
    names = class_axis.names_of(class_names, num_classes, longest=16)
    present = np.unique(intended).tolist()
    rows = present if classes is None else [int(label) for label in classes]
    missing = [label for label in rows if label not in present]
    if missing or not rows:
        got, way_out = str(missing or "none"), f"There are {present[:20]}."
        raise ArgumentValueError("classes", rule="be classes with images", got=got, way_out=way_out)
    num_rows = len(rows)
    if num_rows > _MOST_ROWS:
        rows = [rows[place] for place in np.linspace(0, num_rows - 1, _MOST_ROWS).round().astype(int)]
    members = [np.flatnonzero(intended == label) for label in rows]
    most = max(map(len, members))
    columns = min(per_class, most)
    figure = _draw(pixels, [found[:columns] for found in members], [names[label] for label in rows], columns)
    shown = f"the first {columns} of up to {most} images a class" if most > columns else f"{len(pixels)} images"
    more = f", {_MOST_ROWS} of {num_rows} classes" if num_rows > _MOST_ROWS else ""
    figure.suptitle(f"{title} ({shown}{more})", fontsize=style.TITLE_SIZE, x=0.01, ha="left")
    return figure


def _draw(pixels: np.ndarray, members: Sequence[np.ndarray], names: Sequence[str], columns: int) -> Figure:
    num_blocks = -(-len(members) // _ROWS_A_BLOCK)
    height = -(-len(members) // num_blocks)
    inches = 0.33 if num_blocks > 1 else max(0.33, min(0.6, 6.0 / columns))
    text = 0.35 + 0.08 * max(map(fonts.width, names))
    figure = style.new_figure(max(3.6, num_blocks * (inches * columns + text)), 0.5 + inches * height)
    for block, axes in enumerate(figure.subplots(1, num_blocks, squeeze=False)[0]):
        here = slice(block * height, (block + 1) * height)
        mosaic, step = _mosaic(pixels, members[here], rows=height, columns=columns)
        axes.imshow(mosaic, interpolation="nearest", cmap="gray", vmin=0, vmax=255)
        axes.set_anchor("W")
        axes.set_xticks([])
        centres = [step * (row + 0.5) - 0.5 for row in range(len(names[here]))]
        axes.set_yticks(centres, names[here], fontsize=style.TICK_SIZE)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    return figure


def _mosaic(pixels: np.ndarray, members: Sequence[np.ndarray], *, rows: int, columns: int) -> tuple[np.ndarray, float]:
    """uint8 picture of a block, white where there is no image, and the height of a row in its pixels."""
    first = _sized(pixels[0])
    height, width = first.shape[:2]
    gap = 2
    mosaic = np.full((rows * (height + gap), columns * (width + gap), *first.shape[2:]), 255, dtype=np.uint8)
    for row, found in enumerate(members):
        for column, sample in enumerate(found):
            top, left = row * (height + gap), column * (width + gap)
            mosaic[top : top + height, left : left + width] = _sized(pixels[sample])
    return mosaic, height + gap


def _sized(image: np.ndarray) -> np.ndarray:
    """One (channels, H, W) image as uint8 (H', W) or (H', W', 3), enlarged or averaged by a whole factor."""
    values = image.astype(np.float64) * (1.0 if image.dtype == np.uint8 else 255.0)
    longest = max(values.shape[1:])
    if longest > _MOST_PIXELS:
        factor = -(-longest // _MOST_PIXELS)
        channels, height, width = values.shape[0], values.shape[1] // factor, values.shape[2] // factor
        cut = values[:, : height * factor, : width * factor]
        values = cut.reshape(channels, height, factor, width, factor).mean(axis=(2, 4))
    elif longest < _LEAST_PIXELS:
        factor = -(-_LEAST_PIXELS // longest)
        values = values.repeat(factor, axis=1).repeat(factor, axis=2)
    drawn = np.round(values).astype(np.uint8)
    return drawn[0] if len(drawn) == 1 else np.moveaxis(drawn, 0, -1)


def _checked(images: ArrayLike, intended_class: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    pixels, intended = as_array("images", images), as_array("intended_class", intended_class)
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or not pixels.size:
        rule = "have shape (N, 1, H, W) or (N, 3, H, W)"
        raise ArgumentValueError("images", rule=rule, got=str(pixels.shape), way_out="Channels come first.")
    if pixels.dtype != np.uint8:
        pixels = as_floats("images", pixels)
    if pixels.dtype != np.uint8 and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise ArgumentValueError(
            "images",
            rule="be uint8 or lie in [0, 1]",
            got=f"{pixels.min():.3g} to {pixels.max():.3g}",
            way_out="Undo the normalisation: `images * std + mean`.",
        )
    if intended.shape != (len(pixels),) or not np.issubdtype(intended.dtype, np.integer) or intended.min() < 0:
        rule, got = (
            f"be ({len(pixels)},) integers >= 0, one an image",
            f"shape {intended.shape}, dtype {intended.dtype}",
        )
        raise ArgumentValueError("intended_class", rule=rule, got=got)
    return pixels, intended
