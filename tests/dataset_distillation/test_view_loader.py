from itertools import islice

import pytest
import torch
from lightning.pytorch import LightningModule
from small_world import NAMES, numbered_set, numbers_in, quiet_trainer
from torch import nn

from lt_callbacks.dataset_distillation import ViewLoader
from lt_callbacks.distilled_set import (
    PLAIN_VIEW,
    DistilledSet,
    LiveLabels,
    SoftLabels,
    Views,
    ViewSettings,
    write_soft_labels,
)

NUM_IMAGES = 7
MIXED = ViewSettings(seed=3, crop="padded", crop_padding=1, flip=True, mix="cutmix")


def random_set(num_images=NUM_IMAGES) -> DistilledSet:
    """Real pictures, for views that change them."""
    images = torch.randint(0, 256, (num_images, 1, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return numbered_set(num_images, images=images)


def loader(distilled=None, *, settings=PLAIN_VIEW, **changes) -> ViewLoader:
    distilled = numbered_set(NUM_IMAGES) if distilled is None else distilled
    values = {
        "views": Views(distilled, settings),
        "classes": distilled.intended_class,
        "labels": None,
        "batch_size": 3,
        "num_passes": 6,
        "passes_per_epoch": 2,
    }
    return ViewLoader(**{**values, **changes})


def store(folder, distilled, *, settings=PLAIN_VIEW, num_views=2, written=None) -> SoftLabels:
    """Labels that say which view of which sample they are of."""
    labels = SoftLabels.create(folder, distilled=distilled, views=settings, num_views=num_views)
    for view in range(num_views) if written is None else written:
        samples = torch.arange(len(distilled)).float()
        labels.write(view, torch.stack([samples, torch.full_like(samples, view), samples * (view + 1)], dim=1))
    return labels


def passes(batches, num_passes=6):
    """The samples of every pass, batch by batch, from a loader of numbered images."""
    found, per_pass = [], len(batches) // batches.passes_per_epoch
    for epoch in range(num_passes // batches.passes_per_epoch):
        batches.sampler.set_epoch(epoch)
        rest = iter(batches)
        found += [
            [numbers_in(batch.images) for batch in islice(rest, per_pass)] for _ in range(batches.passes_per_epoch)
        ]
        assert next(rest, None) is None
    return found


def test_every_pass_holds_every_sample_once_in_an_order_of_its_own():
    found = passes(loader())
    assert len(found) == 6
    for batches in found:
        assert [len(batch) for batch in batches] == [3, 3, 1]
        assert sorted(sum(batches, [])) == list(range(NUM_IMAGES))
    assert len({tuple(sum(batches, [])) for batches in found}) == 6


def test_batches_are_a_function_of_seed_and_pass():
    torch.manual_seed(1)
    found = passes(loader(seed=4))
    torch.manual_seed(2)
    assert passes(loader(seed=4)) == found
    assert passes(loader(seed=5)) != found
    # However passes are cut into epochs, and however often one is looked at.
    assert passes(loader(seed=4, passes_per_epoch=6)) == found
    assert passes(loader(seed=4, passes_per_epoch=1)) == found
    again = loader(seed=4)
    passes(again)
    assert passes(again) == found


def test_a_picture_depends_on_sample_and_pass_alone():
    """Whatever the batch is composed of, and the same order as the numbered images show."""
    distilled, found = random_set(), []
    for batch_size in (2, 5):
        order = passes(loader(batch_size=batch_size))
        mixed = loader(distilled, settings=MIXED, batch_size=batch_size)
        pictures = {}
        for number, batches in enumerate(order):
            mixed.sampler.set_epoch(number // 2)
            per_pass = len(mixed) // 2
            for samples, batch in zip(batches, islice(mixed, number % 2 * per_pass, None), strict=False):
                for row, sample in enumerate(samples):
                    pictures[number, sample] = tuple(batch.images[row].flatten().tolist())
        found.append(pictures)
    assert found[0].keys() == found[1].keys() == {(p, s) for p in range(6) for s in range(NUM_IMAGES)}
    assert found[0] == found[1]
    assert len(set(found[0].values())) > 35


@pytest.mark.parametrize("mix", ["cutmix", "mixup"])
def test_images_labels_partners_and_shares_are_those_of_one_view(tmp_path, mix):
    distilled = random_set()
    settings = ViewSettings(seed=3, crop="padded", crop_padding=1, flip=True, mix=mix)
    views, labels = Views(distilled, settings), store(tmp_path, distilled, settings=settings)
    order = passes(loader())
    batches = loader(distilled, settings=settings, labels=labels)
    num_mixed = 0
    for epoch in range(3):
        batches.sampler.set_epoch(epoch)
        expected = [(p, torch.tensor(samples)) for p in (2 * epoch, 2 * epoch + 1) for samples in order[p]]
        for (number, samples), batch in zip(expected, batches, strict=True):
            view, mixing = number % 2, views.mixing(samples, number % 2)
            assert torch.equal(batch.images, views.images(samples, view))
            assert torch.equal(batch.soft_logits, labels.logits(samples, view))
            assert batch.soft_logits[:, 1].unique().tolist() == [view]
            assert torch.equal(batch.classes, distilled.intended_class[samples])
            assert torch.equal(batch.partner_classes, distilled.intended_class[mixing.partner])
            assert torch.equal(batch.share, mixing.share)
            num_mixed += int((batch.share < 1).sum())
    assert num_mixed > 20


def test_passes_start_again_at_the_first_view_where_fewer_are_labelled(tmp_path):
    distilled = numbered_set(NUM_IMAGES)
    batches = loader(distilled, labels=store(tmp_path, distilled, num_views=4), passes_per_epoch=6)
    seen = [batch.soft_logits for batch in batches]
    views = [logits[:, 1].unique().tolist() for logits in seen[::3]]
    assert views == [[0], [1], [2], [3], [0], [1]]
    assert [row[0] for logits in seen for row in logits.tolist()] == sum(sum(passes(batches), []), [])


def test_without_labels_every_pass_shows_another_view():
    distilled = random_set()
    batches = loader(distilled, settings=MIXED, passes_per_epoch=6, batch_size=NUM_IMAGES)
    views, order = Views(distilled, MIXED), passes(loader(batch_size=NUM_IMAGES))
    for number, batch in enumerate(batches):
        assert batch.soft_logits is None
        assert torch.equal(batch.images, views.images(torch.tensor(order[number][0]), number))


def test_an_adjustment_reaches_the_soft_labels_alone(tmp_path):
    distilled = numbered_set(NUM_IMAGES)
    labels = store(tmp_path, distilled)
    plain, adjusted = (loader(distilled, labels=labels, adjust=adjust) for adjust in (None, lambda z: 2 * z - 1))
    for a, b in zip(plain, adjusted, strict=True):
        assert torch.equal(b.soft_logits, 2 * a.soft_logits - 1)
        assert torch.equal(a.images, b.images)
        assert torch.equal(a.classes, b.classes)
        assert torch.equal(a.share, b.share)
    assert torch.equal(labels.logits(torch.tensor([5]), 1), torch.tensor([[5.0, 1.0, 10.0]]))


def test_live_labels_are_those_that_a_store_would_hold(tmp_path):
    distilled = random_set()
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(16, len(NAMES)))
    live = LiveLabels(teacher, Views(distilled, MIXED))
    stored = SoftLabels.create(tmp_path, distilled=distilled, views=MIXED, num_views=6)
    write_soft_labels(teacher, Views(distilled, MIXED), stored)
    pairs = zip(
        loader(distilled, settings=MIXED, labels=live, passes_per_epoch=6),
        loader(distilled, settings=MIXED, labels=stored, passes_per_epoch=6),
        strict=True,
    )
    for a, b in pairs:
        assert torch.allclose(a.soft_logits, b.soft_logits, atol=2e-3)
        assert torch.allclose(a.soft_logits, teacher(a.images), atol=1e-5)
        assert not a.soft_logits.requires_grad


@pytest.mark.parametrize(
    ("num_passes", "passes_per_epoch", "expected"),
    [(12, 10, 6), (7, 3, 1), (7, 10, 7), (10, 10, 10), (1, 10, 1), (400, 20, 20), (9, 8, 3)],
)
def test_epochs_are_of_equal_length_and_hold_all_passes(num_passes, passes_per_epoch, expected):
    batches = loader(num_passes=num_passes, passes_per_epoch=passes_per_epoch)
    assert batches.passes_per_epoch == expected
    assert batches.num_epochs * expected == num_passes
    assert len(batches) == 3 * expected
    batches.sampler.set_epoch(batches.num_epochs - 1)
    assert len(list(batches)) == len(batches)


class Recorder(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, numbers_in(batch.images), batch.soft_logits[:, 1].unique().tolist()))
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_a_trainers_epochs_go_through_all_passes(tmp_path):
    distilled = numbered_set(NUM_IMAGES)
    batches = loader(distilled, labels=store(tmp_path, distilled, num_views=4))
    recorder = Recorder()
    trainer = quiet_trainer(max_epochs=batches.num_epochs)
    trainer.fit(recorder, train_dataloaders=batches)
    assert trainer.global_step == 6 * 3
    order = passes(loader())
    expected = [(number // 2, samples, [number % 4]) for number in range(6) for samples in order[number]]
    assert recorder.seen == expected


def test_labels_of_other_pictures_are_refused(tmp_path):
    distilled = random_set()
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(16, len(NAMES)))
    others = [
        store(tmp_path / "a", numbered_set(NUM_IMAGES), settings=MIXED),
        LiveLabels(teacher, Views(numbered_set(NUM_IMAGES), MIXED)),
    ]
    for labels in others:
        with pytest.raises(ValueError, match="`labels` must be of the set in `views`"):
            loader(distilled, settings=MIXED, labels=labels)
    for labels in (store(tmp_path / "b", distilled), LiveLabels(teacher, Views(distilled, PLAIN_VIEW))):
        with pytest.raises(ValueError, match="`labels` must be of the view settings in `views`"):
            loader(distilled, settings=MIXED, labels=labels)


def test_views_that_are_not_labelled_yet_are_refused_where_they_are_needed(tmp_path):
    distilled = numbered_set(NUM_IMAGES)
    labels = store(tmp_path, distilled, num_views=10, written=(0, 1, 3))
    with pytest.raises(
        ValueError, match="`labels` must hold every view.*of which 3 are not written yet, the first is 2"
    ):
        loader(distilled, labels=labels)
    assert len(list(loader(distilled, labels=labels, num_passes=2))) == 6


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"num_passes": 0}, ValueError, "`num_passes` must be an integer >= 1; got 0"),
        ({"passes_per_epoch": 0}, ValueError, "`passes_per_epoch` must be an integer >= 1; got 0"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer >= 1; got 0"),
        ({"seed": -1}, ValueError, "`seed` must be an integer >= 0; got -1"),
        ({"classes": torch.zeros(5, dtype=torch.int64)}, ValueError, r"`classes` must be one a sample, \(7,\).*\(5,\)"),
        ({"labels": torch.zeros(7, 3)}, TypeError, "`labels` must be SoftLabels, LiveLabels or None; got Tensor"),
        ({"adjust": 1.0}, TypeError, "`adjust` must be a function of logits, or None; got 1.0"),
        ({"adjust": torch.neg}, ValueError, "`adjust` must be None without `labels`"),
    ],
)
def test_wrong_arguments_are_named(changes, error, text):
    with pytest.raises(error, match=text):
        loader(**changes)
