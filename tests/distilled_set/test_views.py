import itertools
import pickle
import sys

import pytest
import torch
import warm_processes
from small_sets import random_images, small_set
from torchvision.transforms.v2 import functional as transforms

from lt_callbacks.distilled_set import PLAIN_VIEW, Views, ViewSettings
from lt_callbacks.distilled_set import view_decisions as decide

EVERY = [
    ViewSettings(seed=3, crop=crop, crop_padding=2, flip=True, mix=mix, mix_alpha=alpha)
    for crop, (mix, alpha) in itertools.product(
        ("resized", "padded", "none"), (("none", 1.0), ("cutmix", 1.0), ("mixup", 0.8))
    )
]


def name_of(settings):
    return f"{settings.crop}-{settings.mix}"


def normalised(images, distilled):
    mean, std = (torch.tensor(values, dtype=torch.float64).view(-1, 1, 1) for values in (distilled.mean, distilled.std))
    return (images.double() - mean) / std


def reference_crop(distilled, settings, sample, view):
    """[0, 1] pixels of one sample, by torchvision and slicing."""
    image = distilled.images[sample]
    image = image.double() / 255 if image.dtype == torch.uint8 else image.double()
    height, width = image.shape[1:]
    one = torch.tensor([sample])
    if settings.crop == "resized":
        box = decide.crop_boxes(one, settings, view=view, size=(height, width), ratios=decide.crop_ratios())[0]
        image = transforms.resized_crop(image, *box.tolist(), [height, width], antialias=True)
    if settings.crop == "padded":
        row, column = decide.crop_offsets(one, settings, view=view)[0].tolist()
        image = transforms.crop(image, row - settings.crop_padding, column - settings.crop_padding, height, width)
    return image.flip(-1) if decide.is_mirrored(one, settings, view=view) else image


def reference_view(distilled, settings, sample, view):
    own = reference_crop(distilled, settings, sample, view)
    if settings.mix == "none":
        return own, sample, 1.0
    one = torch.tensor([sample])
    weights = decide.mixing_weights(settings.mix_alpha)
    partner = int(decide.partners(one, settings, view=view, num_images=len(distilled)))
    other = reference_crop(distilled, settings, partner, view)
    if settings.mix == "mixup":
        share = float(decide.drawn_weights(one, settings, view=view, weights=weights))
        return share * own + (1 - share) * other, partner, share
    size = tuple(own.shape[1:])
    top, left, bottom, right = decide.cutmix_boxes(one, settings, view=view, size=size, weights=weights)[0].tolist()
    own = own.clone()
    own[:, top:bottom, left:right] = other[:, top:bottom, left:right]
    return own, partner, 1 - (bottom - top) * (right - left) / (size[0] * size[1])


@pytest.mark.parametrize("settings", EVERY, ids=name_of)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_views_equal_the_reference_sample_by_sample(settings, dtype):
    distilled = small_set(random_images(height=9, width=6, dtype=dtype))
    views = Views(distilled, settings)
    samples = torch.tensor([5, 0, 11, 5, 7, 2])
    for view in (0, 41):
        found, mixing = views.images(samples, view), views.mixing(samples, view)
        assert found.dtype == mixing.share.dtype == torch.float32
        assert mixing.partner.dtype == torch.int64
        for b, sample in enumerate(samples.tolist()):
            image, partner, share = reference_view(distilled, settings, sample, view)
            expected = normalised(image, distilled)
            torch.testing.assert_close(found[b].double(), expected, rtol=0, atol=1e-4)
            assert int(mixing.partner[b]) == partner
            assert float(mixing.share[b]) == pytest.approx(share, abs=1e-7)


@pytest.mark.parametrize("settings", EVERY, ids=name_of)
def test_a_view_does_not_depend_on_its_batch(settings):
    views = Views(small_set(), settings)
    alone = [views.images(torch.tensor([sample]), 5) for sample in range(12)]
    order = torch.tensor([7, 3, 11, 0, 3, 8, 1])
    together = views.images(order, 5)
    mixing = views.mixing(order, 5)
    for b, sample in enumerate(order.tolist()):
        assert torch.equal(together[b], alone[sample][0])
        single = views.mixing(torch.tensor([sample]), 5)
        assert torch.equal(single.partner[0], mixing.partner[b])
        assert torch.equal(single.share[0], mixing.share[b])


def test_another_process_sees_the_same_views(tmp_path):
    folder = small_set().save(tmp_path / "set")
    settings = EVERY[1]
    script = f"""
import sys, torch
torch.manual_seed(123)
from lt_callbacks.distilled_set import DistilledSet, Views, ViewSettings
views = Views(DistilledSet.load({str(folder)!r}), ViewSettings.from_dict({settings.to_dict()!r}))
torch.save(views.images(torch.tensor([4, 1]), 9), {str(tmp_path / "there.pt")!r})
"""
    done = warm_processes.run([sys.executable, "-c", script], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    there = torch.load(tmp_path / "there.pt", weights_only=True)
    assert torch.equal(there, Views(small_set(), settings).images(torch.tensor([4, 1]), 9))


@pytest.mark.parametrize("settings", [settings for settings in EVERY if settings.mix != "none"], ids=name_of)
def test_views_and_seeds_differ(settings):
    samples = torch.arange(12)
    views = Views(small_set(), settings)
    other_seed = Views(small_set(), ViewSettings(**{**settings.to_dict(), "seed": 4}))
    first = views.images(samples, 0)
    for other in (views.images(samples, 1), views.images(samples, 2), other_seed.images(samples, 0)):
        assert (first - other).flatten(1).abs().amax(1).gt(1e-3).sum() >= 10


def test_no_random_state_is_read_or_changed():
    views = Views(small_set(), EVERY[2])
    torch.manual_seed(0)
    first = views.images(torch.arange(12), 1)
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(views.images(torch.arange(12), 1), first)


def test_the_plain_view_is_the_normalised_image():
    distilled = small_set()
    found = Views(distilled, PLAIN_VIEW).images(torch.arange(12), 3)
    expected = normalised(distilled.images.double() / 255, distilled)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)
    mixing = Views(distilled, PLAIN_VIEW).mixing(torch.tensor([5, 2]), 3)
    assert mixing.partner.tolist() == [5, 2]
    assert mixing.share.tolist() == [1.0, 1.0]


def test_the_share_is_the_share_of_pixels_that_are_the_samples_own():
    """Counted in the picture: every image of this set has a colour of its own."""
    images = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1).expand(12, 1, 9, 7) * 20
    distilled = small_set(images, mean=(0.0,), std=(1.0,))
    views = Views(distilled, ViewSettings(crop="none", mix="cutmix"))
    for view in range(5):
        samples = torch.arange(12)
        seen = (views.images(samples, view) * 255).round()
        mixing = views.mixing(samples, view)
        own = (seen == (samples * 20).view(-1, 1, 1, 1)).flatten(1).double().mean(1)
        partner = (seen == (mixing.partner * 20).view(-1, 1, 1, 1)).flatten(1).double().mean(1)
        is_other = mixing.partner != samples
        torch.testing.assert_close(own[is_other], mixing.share[is_other].double(), rtol=0, atol=1e-7)
        torch.testing.assert_close((own + partner)[is_other], torch.ones(int(is_other.sum())).double())


def test_the_mean_share_of_mixup_is_a_half():
    distilled = small_set(random_images(400, 1, 2, 2))
    views = Views(distilled, ViewSettings(crop="none", mix="mixup", mix_alpha=0.8))
    share = torch.cat([views.mixing(torch.arange(400), view).share for view in range(20)])
    assert abs(float(share.double().mean()) - 0.5) < 3.3 * 0.311 / 8000**0.5


def test_mixing_comes_before_normalisation():
    images = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    distilled = small_set(images, names=("a", "b"), intended_class=torch.tensor([0, 1]), mean=(0.25,), std=(0.5,))
    views = Views(distilled, ViewSettings(crop="none", mix="mixup"))
    samples = torch.tensor([0, 1])
    mixing = views.mixing(samples, 2)
    share = torch.where(samples == 1, mixing.share, 0) + torch.where(mixing.partner == 1, 1 - mixing.share, 0)
    expected = (share - 0.25) / 0.5
    torch.testing.assert_close(views.images(samples, 2)[:, 0, 0, 0], expected, rtol=0, atol=1e-6)


def test_views_can_be_sent_to_a_data_loaders_workers():
    views = Views(small_set(), EVERY[1])
    there = pickle.loads(pickle.dumps(views))
    assert torch.equal(there.images(torch.arange(12), 2), views.images(torch.arange(12), 2))


def test_the_set_is_not_changed():
    distilled = small_set(random_images(dtype=torch.float32))
    before = distilled.images.clone()
    for settings in (*EVERY, PLAIN_VIEW):
        Views(distilled, settings).images(torch.arange(12), 0)
    assert torch.equal(distilled.images, before)


def test_an_empty_batch_is_a_batch():
    nothing = torch.zeros(0, dtype=torch.int64)
    for settings in EVERY:
        views = Views(small_set(), settings)
        assert views.images(nothing, 0).shape == (0, 3, 8, 8)
        assert views.mixing(nothing, 0).share.shape == (0,)


@pytest.mark.parametrize(
    ("samples", "view", "error", "message"),
    [
        (torch.tensor([12]), 0, ValueError, r"`samples` must be positions in 0\.\.11; got 12"),
        (torch.tensor([-1]), 0, ValueError, "got -1"),
        (torch.tensor([0]), -1, ValueError, "`view` must be an integer >= 0; got -1"),
        (torch.tensor([0]), 1.0, TypeError, "`view` must be an integer >= 0; got 1.0"),
    ],
)
def test_what_is_not_there_cannot_be_viewed(samples, view, error, message):
    views = Views(small_set(), EVERY[1])
    for method in (views.images, views.mixing):
        with pytest.raises(error, match=message):
            method(samples, view)


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match="`distilled` must be a DistilledSet; got Tensor"):
        Views(random_images(), PLAIN_VIEW)
    with pytest.raises(TypeError, match="`settings` must be ViewSettings; got dict. Use PLAIN_VIEW"):
        Views(small_set(), {})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("settings", EVERY, ids=name_of)
def test_a_gpu_shows_the_same_views(settings):
    distilled = small_set(random_images(height=33, width=21))
    here, there = Views(distilled, settings), Views(distilled, settings, device="cuda")
    samples = torch.arange(12)
    torch.testing.assert_close(there.images(samples.cuda(), 3).cpu(), here.images(samples, 3), rtol=0, atol=1e-4)
    assert torch.equal(there.mixing(samples, 3).partner.cpu(), here.mixing(samples, 3).partner)
    assert torch.equal(there.mixing(samples, 3).share.cpu(), here.mixing(samples, 3).share)
