import hashlib
import math

import pytest
import torch

from lt_callbacks._counter_random import random_integers, random_uniforms, stream_key
from lt_callbacks.distilled_set import ViewSettings
from lt_callbacks.distilled_set import view_decisions as decide

MANY = torch.arange(20_000)
RATIOS = decide.crop_ratios()


def uniforms(purpose, samples, *, seed, view):
    return random_uniforms(samples, stream_key(f"distilled {purpose}", seed=seed, epoch=view)).tolist()


def integers(purpose, samples, bound, *, seed, view):
    return random_integers(samples, stream_key(f"distilled {purpose}", seed=seed, epoch=view), bound=bound).tolist()


def test_offsets_are_uniform_over_all_shifts_and_independent():
    settings = ViewSettings(crop="padded", crop_padding=2)
    offsets = decide.crop_offsets(MANY, settings, view=3)
    counts = torch.zeros(5, 5).index_put_(tuple(offsets.T), torch.ones(len(MANY)), accumulate=True)
    expected = len(MANY) / 25
    assert offsets.dtype == torch.int64
    assert ((counts - expected) ** 2 / expected).sum() < 52.6  # chi-squared, 24 degrees of freedom: 0.1 %
    assert decide.crop_offsets(MANY, ViewSettings(crop="padded", crop_padding=0), view=3).eq(0).all()


@pytest.mark.parametrize(("height", "width"), [(32, 32), (224, 224), (40, 10), (7, 100), (1, 1)])
@pytest.mark.parametrize("area", [(0.08, 1.0), (0.5, 0.5), (1.0, 1.0), (0.001, 0.002)])
def test_boxes_equal_plain_arithmetic_sample_by_sample(height, width, area):
    settings = ViewSettings(seed=5, crop_area=area)
    samples = torch.arange(300)
    found = decide.crop_boxes(samples, settings, view=2, size=(height, width), ratios=RATIOS)
    parts = [uniforms(f"box {part}", samples, seed=5, view=2) for part in ("area", "top", "left")]
    picked = integers("box ratio", samples, len(RATIOS), seed=5, view=2)
    expected = []
    for share, down, right, pick in zip(*parts, picked, strict=True):
        pixels = (share * (area[1] - area[0]) + area[0]) * (height * width)
        ratio = min(max(float(RATIOS[pick]), pixels / height**2), width**2 / pixels)
        box_height = min(max(round(math.sqrt(pixels / ratio)), 1), height)
        box_width = min(max(round(math.sqrt(pixels * ratio)), 1), width)
        expected.append(
            [
                math.floor(down * (height - box_height + 1)),
                math.floor(right * (width - box_width + 1)),
                box_height,
                box_width,
            ]
        )
    assert found.tolist() == expected


@pytest.mark.parametrize(("height", "width"), [(32, 32), (40, 10), (3, 100)])
def test_boxes_lie_in_the_image(height, width):
    top, left, box_height, box_width = decide.crop_boxes(
        MANY, ViewSettings(), view=0, size=(height, width), ratios=RATIOS
    ).unbind(1)
    assert ((top >= 0) & (box_height >= 1) & (top + box_height <= height)).all()
    assert ((left >= 0) & (box_width >= 1) & (left + box_width <= width)).all()
    # Every place is possible, both ends included.
    assert int(top.min()) == 0
    assert int((top + box_height).max()) == height
    assert int((left + box_width).max()) == width


def test_the_area_is_uniform_and_the_ratio_log_uniform_where_nothing_has_to_be_bent():
    settings = ViewSettings(crop_area=(0.1, 0.5))
    boxes = decide.crop_boxes(MANY, settings, view=1, size=(1000, 1000), ratios=RATIOS).double()
    area = boxes[:, 2] * boxes[:, 3] / 1e6
    assert float(area.min()) > 0.099
    assert float(area.max()) < 0.501
    share = ((area - 0.1) / 0.4).sort().values
    steps = (torch.arange(len(MANY), dtype=torch.float64) + 0.5) / len(MANY)
    assert float((share - steps).abs().max()) < 1.95 / math.sqrt(len(MANY))  # Kolmogorov and Smirnov: 0.1 %
    ratio = ((boxes[:, 3] / boxes[:, 2]).log() / math.log(4 / 3)).sort().values
    assert float((ratio - (2 * steps - 1)).abs().max()) < 2 * 1.95 / math.sqrt(len(MANY))
    assert abs(float(torch.corrcoef(torch.stack([area, boxes[:, 3] / boxes[:, 2]]))[0, 1])) < 0.03


def test_a_box_that_would_not_fit_keeps_its_area():
    boxes = decide.crop_boxes(MANY, ViewSettings(crop_area=(0.9, 1.0)), view=1, size=(600, 600), ratios=RATIOS)
    area = (boxes[:, 2] * boxes[:, 3]).double() / 600**2
    assert float(area.min()) > 0.898
    assert abs(float(area.mean()) - 0.95) < 0.002
    ratio = boxes[:, 3] / boxes[:, 2]
    assert float(ratio.max()) <= 4 / 3
    assert float(ratio.min()) >= 3 / 4
    whole = decide.crop_boxes(MANY, ViewSettings(crop_area=(1.0, 1.0)), view=1, size=(30, 100), ratios=RATIOS)
    assert whole.unique(dim=0).tolist() == [[0, 0, 30, 100]]


def test_ratios_are_those_of_the_imagenet_recipe():
    logs = RATIOS.log()
    assert float(logs.mean()) == pytest.approx(0, abs=1e-12)
    assert float(RATIOS[0]) == pytest.approx(3 / 4, rel=1e-3)
    assert float(RATIOS[-1]) == pytest.approx(4 / 3, rel=1e-3)
    assert float(logs.diff().max()) == pytest.approx(float(logs.diff().min()), rel=1e-6)


def test_half_of_the_views_are_mirrored_where_asked_for():
    mirrored = decide.is_mirrored(MANY, ViewSettings(flip=True), view=7)
    assert abs(float(mirrored.double().mean()) - 0.5) < 3.3 * 0.5 / math.sqrt(len(MANY))
    assert not decide.is_mirrored(MANY, ViewSettings(flip=False), view=7).any()


def test_partners_are_uniform_over_the_set():
    partner = decide.partners(MANY, ViewSettings(mix="cutmix"), view=0, num_images=10)
    counts = partner.bincount(minlength=10).double()
    assert counts.shape == (10,)
    assert ((counts - 2000) ** 2 / 2000).sum() < 27.9  # chi-squared, 9 degrees of freedom: 0.1 %


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 4.0])
def test_weights_have_the_moments_of_the_beta_distribution(alpha):
    weights = decide.mixing_weights(alpha)
    assert weights.dtype == torch.float64
    assert float(weights.min()) >= 0
    assert float(weights.max()) <= 1
    assert float(weights.mean()) == pytest.approx(0.5, abs=1e-9)
    assert float(weights.var(unbiased=False)) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=1e-3)
    fourth = (weights - 0.5).pow(4).mean()
    assert float(fourth) == pytest.approx(3 / (16 * (2 * alpha + 1) * (2 * alpha + 3)), rel=2e-3)


def test_weights_of_a_large_alpha_are_near_a_half_and_of_a_small_one_at_the_ends():
    assert float((decide.mixing_weights(1e6) - 0.5).abs().max()) < 0.01
    ends = decide.mixing_weights(1e-6)
    assert float(torch.minimum(ends, 1 - ends).mean()) < 1e-3


def test_drawn_weights_are_equally_likely():
    settings = ViewSettings(mix="mixup")
    drawn = decide.drawn_weights(MANY, settings, view=0, weights=decide.mixing_weights(1.0)).sort().values
    steps = (torch.arange(len(MANY), dtype=torch.float64) + 0.5) / len(MANY)
    assert float((drawn - steps).abs().max()) < 1.95 / math.sqrt(len(MANY))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (5, 9)])
def test_cutmix_boxes_are_those_of_the_reference_code(height, width):
    samples = torch.arange(300)
    settings = ViewSettings(seed=4, mix="cutmix")
    weights = decide.mixing_weights(1.0)
    found = decide.cutmix_boxes(samples, settings, view=6, size=(height, width), weights=weights)
    picked = integers("weight", samples, len(weights), seed=4, view=6)
    rows = integers("cutmix row", samples, height, seed=4, view=6)
    columns = integers("cutmix column", samples, width, seed=4, view=6)
    expected = []
    for pick, row, column in zip(picked, rows, columns, strict=True):
        # rand_bbox of the authors' train.py
        cut_ratio = math.sqrt(1 - float(weights[pick]))
        cut_height, cut_width = int(height * cut_ratio), int(width * cut_ratio)
        expected.append(
            [
                max(row - cut_height // 2, 0),
                max(column - cut_width // 2, 0),
                min(row + cut_height // 2, height),
                min(column + cut_width // 2, width),
            ]
        )
    assert found.tolist() == expected


def test_the_share_that_cutmix_leaves_is_that_of_boxes_cut_off_at_the_border():
    settings = ViewSettings(mix="cutmix")
    top, left, bottom, right = decide.cutmix_boxes(
        MANY, settings, view=0, size=(500, 500), weights=decide.mixing_weights(1.0)
    ).unbind(1)
    area = ((bottom - top) * (right - left)).double() / 500**2
    # A side s, centred anywhere, covers s - s^2 / 4 of the image's on average; s^2 is uniform.
    assert abs(float(area.mean()) - (1 / 2 - 1 / 5 + 1 / 48)) < 0.008


def all_decisions(samples, settings, view):
    weights = decide.mixing_weights(settings.mix_alpha)
    return torch.cat(
        [
            decide.crop_offsets(samples, settings, view=view),
            decide.crop_boxes(samples, settings, view=view, size=(32, 32), ratios=RATIOS),
            decide.is_mirrored(samples, settings, view=view).long()[:, None],
            decide.partners(samples, settings, view=view, num_images=1000)[:, None],
            decide.cutmix_boxes(samples, settings, view=view, size=(32, 32), weights=weights),
        ],
        dim=1,
    )


def test_views_and_seeds_decide_anew():
    samples = torch.arange(2000)
    settings = ViewSettings(flip=True)
    first = all_decisions(samples, settings, 0)
    for other in (all_decisions(samples, settings, 1), all_decisions(samples, ViewSettings(seed=1, flip=True), 0)):
        for column, changed in zip(first.T.double(), other.T.double(), strict=True):
            assert abs(float(torch.corrcoef(torch.stack([column, changed]))[0, 1])) < 0.08


def test_one_decision_says_nothing_about_another():
    found = all_decisions(MANY, ViewSettings(flip=True), 0).T.double()
    names = ["offset_row", "offset_column", "top", "left", "height", "width", "mirrored", "partner"]
    names += ["cut_top", "cut_left", "cut_bottom", "cut_right"]
    correlation = dict(zip(names, torch.corrcoef(found), strict=True))
    place = {name: number for number, name in enumerate(names)}
    for one, other in [
        ("offset_row", "offset_column"),
        ("offset_row", "top"),
        ("offset_column", "left"),
        ("mirrored", "partner"),
        ("mirrored", "offset_column"),
        ("partner", "cut_top"),
        ("height", "cut_bottom"),
        ("top", "cut_top"),
    ]:
        assert abs(float(correlation[one][place[other]])) < 0.03, (one, other)


def test_decisions_stay_what_they_are():
    # Stored labels are labels of these views: a change needs a new format version of the store.
    settings = ViewSettings(seed=11, flip=True, mix="cutmix")
    assert all_decisions(torch.tensor([0, 1, 4999]), settings, 17).tolist() == [
        [4, 6, 6, 0, 25, 30, 1, 937, 0, 2, 23, 32],
        [7, 6, 7, 2, 25, 28, 1, 928, 10, 0, 32, 17],
        [8, 3, 3, 5, 21, 23, 0, 883, 3, 0, 29, 21],
    ]


def test_decisions_follow_the_recipe_of_the_page():
    """By plain integers, without the package's generator."""
    mask = 2**64 - 1

    def bits(purpose, sample):
        state = int.from_bytes(hashlib.sha256(f"distilled {purpose}/11/17".encode()).digest()[:8], "little")
        state = (state + (sample + 1) * 0x9E3779B97F4A7C15) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        return state ^ (state >> 31)

    def u(purpose, sample):
        return (bits(purpose, sample) >> 11) / 2**53

    def n(purpose, sample, m):
        return (bits(purpose, sample) >> 1) % m

    settings = ViewSettings(seed=11, crop_area=(0.08, 1.0), flip=True)
    samples = [0, 1, 2, 3, 40, 4999]
    expected = []
    for i in samples:
        area = 32 * 32 * (0.08 + u("box area", i) * (1.0 - 0.08))
        ratio = math.exp(math.log(3 / 4) + (n("box ratio", i, 4096) + 0.5) / 4096 * math.log(16 / 9))
        ratio = min(max(ratio, area / 32**2), 32**2 / area)
        height, width = (min(max(round(math.sqrt(side)), 1), 32) for side in (area / ratio, area * ratio))
        weight = (n("weight", i, 16384) + 0.5) / 16384
        half = math.floor(32 * math.sqrt(1 - weight)) // 2
        row, column = n("cutmix row", i, 32), n("cutmix column", i, 32)
        box = [math.floor(u("box top", i) * (33 - height)), math.floor(u("box left", i) * (33 - width)), height, width]
        cut = [max(row - half, 0), max(column - half, 0), min(row + half, 32), min(column + half, 32)]
        offsets = [n("crop row", i, 9), n("crop column", i, 9)]
        expected.append([*offsets, *box, n("flip", i, 2), n("partner", i, 1000), *cut])
    assert all_decisions(torch.tensor(samples), settings, 17).tolist() == expected


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("alpha", [1.0, 0.8])
def test_a_gpu_decides_the_same_in_every_bit(alpha):
    settings = ViewSettings(seed=11, flip=True, mix="cutmix", mix_alpha=alpha)
    on_gpu = MANY.cuda()
    weights = decide.mixing_weights(alpha)
    for size in ((32, 32), (224, 224), (37, 101)):
        pairs = [
            (
                decide.crop_boxes(MANY, settings, view=3, size=size, ratios=RATIOS),
                decide.crop_boxes(on_gpu, settings, view=3, size=size, ratios=RATIOS.cuda()),
            ),
            (
                decide.cutmix_boxes(MANY, settings, view=3, size=size, weights=weights),
                decide.cutmix_boxes(on_gpu, settings, view=3, size=size, weights=weights.cuda()),
            ),
            (decide.is_mirrored(MANY, settings, view=3), decide.is_mirrored(on_gpu, settings, view=3)),
            (
                decide.partners(MANY, settings, view=3, num_images=977),
                decide.partners(on_gpu, settings, view=3, num_images=977),
            ),
        ]
        for on_cpu, there in pairs:
            assert torch.equal(on_cpu, there.cpu())
