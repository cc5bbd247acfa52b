from __future__ import annotations

import torch
from adsa_small import COUNTS, distilled_set
from PIL import Image
from relabel_small import a_fit

from lt_callbacks.distilled_set import DistilledSet
from lt_callbacks.relabel.figures import figures_of, save_figures

PRIOR = torch.tensor(COUNTS, dtype=torch.float64)


def test_rows_of_the_images_go_from_head_to_tail():
    figure = figures_of(a_fit(), distilled_set(), class_prior=PRIOR.flip(0))["images"]
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["dog", "cat", "bee", "ant"]


def test_images_that_are_no_pictures_are_not_drawn():
    whole = distilled_set()
    odd = DistilledSet(
        images=whole.images.expand(-1, 2, -1, -1),
        intended_class=whole.intended_class,
        class_names=whole.class_names,
        mean=(0.4, 0.4),
        std=(0.3, 0.3),
    )
    assert figures_of(a_fit(), odd, class_prior=PRIOR).keys() == {"tau", "confidence"}


def test_each_figure_is_a_picture_in_the_folder(tmp_path):
    files = save_figures(figures_of(a_fit(), distilled_set(), class_prior=PRIOR), tmp_path)
    assert files == {name: tmp_path / f"{name}.png" for name in ("tau", "confidence", "images")}
    for file in files.values():
        with Image.open(file) as image:
            assert min(image.size) > 300
