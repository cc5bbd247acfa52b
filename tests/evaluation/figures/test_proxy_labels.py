from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from lt_callbacks.evaluation import proxy_labels_figure
from lt_callbacks.evaluation.figures import figure_style as style
from lt_callbacks.evaluation.figures.proxy_labels import top_classes

NAMES = ("noise_probs", "imbalance_probs", "student_probs", "proxy_labels")


def problem(num_samples=2, num_classes=4, **changes):
    generator = np.random.default_rng(0)
    values = {name: generator.dirichlet(np.ones(num_classes), num_samples) for name in NAMES}
    values["images"] = generator.integers(0, 256, (num_samples, 3, 5, 6), dtype=np.uint8)
    values["given_label"] = np.arange(num_samples) % num_classes
    return {**values, **changes}


def panel(figure, row, column):
    """Axes of one row: image, text, then four panels."""
    return figure.axes[6 * row + column]


def test_each_panel_shows_its_own_distribution():
    values = problem()
    figure = proxy_labels_figure(**values)
    for row in range(2):
        for position, name in enumerate(NAMES):
            heights = [bar.get_height() for bar in panel(figure, row, 2 + position).patches]
            np.testing.assert_allclose(heights, values[name][row])
    headings = [panel(figure, 0, 2 + position).get_title() for position in range(4)]
    assert headings == ["noise teacher $f_N$", "imbalance teacher $f_L$", "target model $p$", "proxy label $Q$"]


def test_given_and_true_label_stand_out():
    figure = proxy_labels_figure(**problem(given_label=[0, 1]), true_label=[2, 1], class_names=["a", "b", "c", "d"])
    looks = [
        [(to_hex(bar.get_facecolor()).upper(), bar.get_hatch()) for bar in panel(figure, row, 5).patches]
        for row in (0, 1)
    ]
    assert looks[0][0] == (style.ORANGE, "////")  # given, wrong
    assert looks[0][2] == (style.BLUE, None)  # true
    assert looks[1][1] == (style.BLUE, "////")  # given, right
    assert len({looks[0][1], looks[0][3], looks[1][0], looks[1][2], looks[1][3]}) == 1
    assert [text.get_text() for text in panel(figure, 0, 1).texts] == ["given", "a", "true", "c"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "given label, wrong",
        "true label",
        "given = true label",
    ]


def test_without_true_labels_only_the_given_one_is_named():
    figure = proxy_labels_figure(**problem())
    assert [text.get_text() for text in panel(figure, 1, 1).texts] == ["given", "1"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["given label"]


@pytest.mark.parametrize("kind", ["uint8", "float", "tensor", "one channel", "no channel"])
def test_images_come_out_as_they_went_in(kind):
    values = problem()
    pixels = values["images"] / 255
    expected = pixels.transpose(0, 2, 3, 1)
    if kind == "float":
        values["images"] = pixels.astype(np.float32)
    elif kind == "tensor":
        values["images"] = torch.from_numpy(values["images"])
    elif kind == "one channel":
        values["images"], expected = pixels[:, :1], pixels[:, 0]
    elif kind == "no channel":
        values["images"] = expected = pixels[:, 0]
    figure = proxy_labels_figure(**values)
    for row in range(2):
        np.testing.assert_allclose(panel(figure, row, 0).images[0].get_array(), expected[row], atol=1e-6)


def test_many_classes_show_the_top_ones_with_given_and_true_and_the_rest():
    values = problem(num_samples=1, num_classes=30, given_label=[7])
    values["student_probs"] = np.full((1, 30), 1e-3)
    values["student_probs"][0, 11] = 1 - 29e-3
    figure = proxy_labels_figure(**values, true_label=[9], class_names=[f"class {label}" for label in range(30)])
    figure.canvas.draw()
    axes = panel(figure, 0, 4)
    names = [label.get_text() for label in panel(figure, 0, 2).get_yticklabels()]
    assert {"class 7", "class 9", "class 11"} <= set(names[:5])
    assert names[5] == "25 others"
    widths = [bar.get_width() for bar in axes.patches]
    assert widths[names.index("class 11")] == pytest.approx(1 - 29e-3)
    assert widths[5] == pytest.approx(25e-3)
    assert sum(widths) == pytest.approx(1)
    # the largest class is on top
    assert axes.yaxis_inverted()


def test_top_classes_by_largest_probability_in_any_row():
    probs = np.array([[0.5, 0.1, 0.0, 0.4, 0.0], [0.0, 0.0, 0.05, 0.15, 0.8]])
    assert top_classes(probs, [], num_top=2) == [4, 0]
    assert top_classes(probs, [2], num_top=2) == [4, 2]
    assert top_classes(probs, [2, 1, 2], num_top=2) == [1, 2]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"noise_probs": np.zeros(3)}, "`noise_probs` must have shape (S, C), one row a sample; got (3,)."),
        ({"student_probs": np.full((2, 5), 0.2)}, "`student_probs` must have the shape of `proxy_labels`, (2, 4)"),
        ({"imbalance_probs": np.log(np.full((2, 4), 0.25))}, "got minimum -1.39 and sum -5.55 in row 0. Pass probab"),
        (
            {"proxy_labels": np.full((2, 4), np.nan)},
            "`proxy_labels` must have rows >= 0 that sum to 1; got minimum nan and sum nan in row 0.",
        ),
        ({"given_label": [0.0, 1.0]}, "`given_label` must be (2,) integers; got shape (2,), dtype float64."),
        ({"given_label": [0]}, "`given_label` must be (2,) integers; got shape (1,)"),
        ({"true_label": [0, 4]}, "`true_label` must lie in 0..3; got 4 for sample 1. Check that"),
        ({"images": np.zeros((2, 5, 6, 3))}, "got (2, 5, 6, 3). Channels come first."),
        ({"images": np.zeros((3, 5, 6))}, "`images` must have shape (2, H, W)"),
        ({"images": np.full((2, 5, 6), -2.0)}, "`images` must be uint8 or lie in [0, 1]; got -2 to -2. Undo the"),
        (problem(num_samples=13), "`proxy_labels` must hold at most 12 samples; got 13. Pick some: `[:8]`."),
        ({"class_names": ["a"]}, "`class_names` must hold one name a class (4); got 1."),
    ],
)
def test_errors_name_the_argument(changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        proxy_labels_figure(**{**problem(), **changes})


def test_a_sample_is_named_by_where_it_is_found():
    places = ["cat/1.png", "a folder with a very long name/picture 000012.png"]
    figure = proxy_labels_figure(**problem(), sample_names=places)
    assert panel(figure, 0, 0).get_xlabel() == "cat/1.png"
    shown = panel(figure, 1, 0).get_xlabel()
    assert shown.startswith("…")
    assert shown.endswith("/picture 000012.png")
    with pytest.raises(ValueError, match=r"`sample_names` must hold one name a sample \(2\); got 1\."):
        proxy_labels_figure(**problem(), sample_names=places[:1])
