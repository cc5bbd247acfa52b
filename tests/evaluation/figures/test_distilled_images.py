from __future__ import annotations

import re

import numpy as np
import pytest

from lt_callbacks.evaluation import distilled_images_figure


def plain_images(intended, *, side=32, channels=1, shade=lambda label, copy: 10 * label + copy):
    """One grey level an image, that says which it is."""
    seen = {}
    images = np.empty((len(intended), channels, side, side), dtype=np.uint8)
    for sample, label in enumerate(intended):
        seen[label] = seen.get(label, -1) + 1
        images[sample] = shade(label, seen[label])
    return images


def picture(figure, block=0):
    return figure.axes[block].images[0].get_array()


def cells(figure, block=0, *, columns):
    """The grey level at the middle of every place of the grid."""
    mosaic = picture(figure, block)
    step = mosaic.shape[1] // columns
    return mosaic[step // 2 :: step, step // 2 :: step].tolist()


def test_each_row_has_the_first_images_of_its_class_in_the_order_of_the_set():
    intended = [2, 0, 2, 1, 0, 2, 2]
    figure = distilled_images_figure(plain_images(intended), intended, per_class=3, class_names=["a", "b", "c"])
    # white where a class has fewer
    assert cells(figure, columns=3) == [[0, 1, 255], [10, 255, 255], [20, 21, 22]]
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b", "c"]
    assert figure.get_suptitle() == "Distilled images (the first 3 of up to 4 images a class)"


def test_rows_are_the_classes_asked_for_in_that_order():
    intended = [0, 1, 2, 3]
    figure = distilled_images_figure(plain_images(intended), intended, classes=[3, 1])
    assert cells(figure, columns=1) == [[30], [10]]


def test_float_images_and_colours_look_as_the_same_in_bytes():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 3, 32, 40), dtype=np.uint8)
    of_bytes = picture(distilled_images_figure(images, [0, 0, 1, 1]))
    of_floats = picture(distilled_images_figure((images / 255).astype(np.float32), [0, 0, 1, 1]))
    np.testing.assert_array_equal(of_bytes, of_floats)
    np.testing.assert_array_equal(of_bytes[:32, :40], np.moveaxis(images[0], 0, -1))
    np.testing.assert_array_equal(of_bytes[34:66, 42:82], np.moveaxis(images[3], 0, -1))


def test_small_images_are_enlarged_and_large_ones_averaged():
    small = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)
    shown = picture(distilled_images_figure(small, [0]))
    np.testing.assert_array_equal(shown[:32, :32], small[0, 0].repeat(4, axis=0).repeat(4, axis=1))
    large = np.zeros((1, 1, 224, 224))
    large[..., ::3] = 1.0
    np.testing.assert_array_equal(picture(distilled_images_figure(large, [0]))[:74, :74], 85)


def test_a_hundred_classes_stand_in_blocks_and_a_thousand_are_thinned():
    intended = np.arange(1000)
    images = plain_images(intended, side=4, shade=lambda label, copy: label % 251)
    figure = distilled_images_figure(images, intended)
    assert len(figure.axes) == 4
    shown = [row[0] for block in range(4) for row in cells(figure, block, columns=1)]
    expected = np.linspace(0, 999, 100).round().astype(int)
    assert shown == (expected % 251).tolist()
    assert figure.get_suptitle().endswith("100 of 1000 classes)")
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[3].get_yticklabels()] == [str(label) for label in expected[75:]]


def test_names_stay_within_the_picture():
    intended = np.arange(10).repeat(2)
    figure = distilled_images_figure(plain_images(intended), intended, class_names=["WWWWWWWWWWWWWWWWWW"] * 10)
    figure.canvas.draw()
    assert all(label.get_window_extent().x0 >= 0 for label in figure.axes[0].get_yticklabels())


@pytest.mark.parametrize(
    ("images", "intended", "changes", "text"),
    [
        (np.zeros((2, 4, 4)), [0, 1], {}, "`images` must have shape (N, 1, H, W) or (N, 3, H, W); got (2, 4, 4)."),
        (np.full((2, 1, 4, 4), -0.5), [0, 1], {}, "`images` must be uint8 or lie in [0, 1]; got -0.5 to -0.5."),
        (np.zeros((2, 1, 4, 4)), [0, 1, 1], {}, "`intended_class` must be (2,) integers >= 0"),
        (np.zeros((2, 1, 4, 4)), [0.0, 1.0], {}, "dtype float64"),
        (np.zeros((2, 1, 4, 4)), [0, 2], {"class_names": ["a", "b"]}, "must name class 2 too; got 2 names."),
        (np.zeros((2, 1, 4, 4)), [0, 2], {"classes": [1, 2]}, "`classes` must be classes with images; got [1]."),
        (np.zeros((2, 1, 4, 4)), [0, 2], {"per_class": 0}, "`per_class` must be an integer >= 1; got 0."),
    ],
)
def test_errors_name_the_argument(images, intended, changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        distilled_images_figure(images, intended, **changes)
