import pytest
import torch
from small_sets import random_images, small_model, small_set
from spawned_ranks import run_ranks
from torch import nn

from lt_callbacks.distilled_set import LiveLabels, SoftLabels, Views, ViewSettings, write_soft_labels

SETTINGS = ViewSettings(crop="resized", flip=True, mix="cutmix")


@pytest.fixture
def views():
    return Views(small_set(), SETTINGS)


def store(folder, views, *, num_views=5, **settings):
    return SoftLabels.create(folder, distilled=views.distilled, views=views.settings, num_views=num_views, **settings)


def adjust(logits):
    return logits - torch.tensor([0.5, -0.5, 0.25, 0.0])


@pytest.mark.parametrize("batch_size", [1, 5, 12, 256])
def test_stored_labels_are_the_live_ones(tmp_path, views, batch_size):
    model = small_model(views.distilled)
    labels = store(tmp_path, views)
    assert write_soft_labels(model, views, labels, adjust=adjust, batch_size=batch_size) == [0, 1, 2, 3, 4]
    live = LiveLabels(model, views, adjust=adjust)
    samples = torch.tensor([7, 2, 2, 9])
    for view in range(5):
        torch.testing.assert_close(labels.logits(samples, view), live.logits(samples, view), rtol=1e-3, atol=1e-3)


def test_only_missing_views_are_labelled_and_reported(tmp_path, views):
    labels = store(tmp_path, views)
    model = small_model(views.distilled)
    by_hand = torch.full((12, 4), 0.5)
    labels.write(1, by_hand)
    labels.write(4, by_hand)
    reported = []
    assert write_soft_labels(model, views, labels, on_view=reported.append) == [0, 2, 3]
    assert reported == [0, 2, 3]
    assert torch.equal(labels.logits(torch.arange(12), 1), by_hand)
    assert write_soft_labels(model, views, labels, on_view=reported.append) == []
    assert reported == [0, 2, 3]


def test_a_view_is_on_disk_when_it_is_reported(tmp_path, views):
    labels = store(tmp_path, views)
    seen = []
    write_soft_labels(
        small_model(views.distilled), views, labels, on_view=lambda view: seen.append(labels.missing_views())
    )
    assert seen == [[1, 2, 3, 4], [2, 3, 4], [3, 4], [4], []]


def test_a_killed_run_goes_on(tmp_path, views):
    labels = store(tmp_path, views)
    model = small_model(views.distilled).train()

    def stop(view):
        if view == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_soft_labels(model, views, labels, on_view=stop)
    assert all(module.training for module in model.modules())
    assert store(tmp_path, views).missing_views() == [3, 4]
    assert write_soft_labels(model, views, labels) == [3, 4]


def test_modes_are_left_as_they_were(tmp_path, views):
    model = small_model(views.distilled).train()
    model[4].eval()
    before = model[1].running_mean.clone()
    write_soft_labels(model, views, store(tmp_path, views))
    assert [module.training for module in model] == [True, True, True, True, False, True]
    assert torch.equal(model[1].running_mean, before)


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 7])
def test_ranks_share_the_views_without_gap_or_overlap(tmp_path, views, num_ranks):
    model = small_model(views.distilled)
    labels = store(tmp_path, views)
    labels.write(2, torch.zeros(12, 4))
    written = [write_soft_labels(model, views, labels, rank=rank, num_ranks=num_ranks) for rank in range(num_ranks)]
    assert sorted(view for share in written for view in share) == [0, 1, 3, 4]
    assert all(view % num_ranks == rank for rank, share in enumerate(written) for view in share)


def label_as_rank(rank, folder):
    views = Views(small_set(), SETTINGS)
    labels = store(folder / "labels", views)
    write_soft_labels(small_model(views.distilled), views, labels, adjust=adjust, rank=rank, num_ranks=2)


@pytest.mark.ddp
@pytest.mark.slow
def test_two_processes_write_what_one_would(tmp_path, views):
    run_ranks(label_as_rank, tmp_path)
    labels = SoftLabels.open(tmp_path / "labels", distilled=views.distilled)
    alone = store(tmp_path / "alone", views)
    write_soft_labels(small_model(views.distilled), views, alone, adjust=adjust)
    assert labels.missing_views() == []
    for view in range(5):
        name = f"view-{view:05d}.safetensors"
        assert (labels.folder / name).read_bytes() == (alone.folder / name).read_bytes()


def test_logits_that_are_not_finite_are_refused_with_view_and_sample(tmp_path, views):
    class Bad(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :4] / 0.0

    labels = store(tmp_path, views)
    with pytest.raises(ValueError, match="`logits` must be finite; got NaN or infinity at sample 0 of view 0"):
        write_soft_labels(Bad(), views, labels)
    assert labels.missing_views() == [0, 1, 2, 3, 4]


def test_compact_labels_are_written_too(tmp_path, views):
    labels = store(tmp_path, views, top_k=4)
    model = small_model(views.distilled)
    write_soft_labels(model, views, labels)
    expected = LiveLabels(model, views).logits(torch.arange(12), 3).softmax(1)
    torch.testing.assert_close(labels.logits(torch.arange(12), 3).exp(), expected, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer >= 1; got 0"),
        (
            {"rank": 2, "num_ranks": 2},
            ValueError,
            "`rank` must be an integer >= 0 and <= 1; got 2. Ranks count from 0.",
        ),
        ({"num_ranks": 0}, ValueError, "`num_ranks` must be an integer >= 1; got 0"),
        ({"labels": "folder"}, TypeError, "`labels` must be SoftLabels; got str. Use SoftLabels.create"),
        ({"model": None}, TypeError, "`model` must be a torch.nn.Module; got NoneType"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, views, changes, error, message):
    arguments = {"model": small_model(views.distilled), "labels": store(tmp_path, views), **changes}
    with pytest.raises(error, match=message):
        write_soft_labels(arguments.pop("model"), views, arguments.pop("labels"), **arguments)


def test_a_store_of_another_set_or_of_other_views_is_refused(tmp_path, views):
    labels = store(tmp_path, views)
    model = small_model(views.distilled)
    with pytest.raises(ValueError, match="`labels` must be a store of the set in `views`, sha256"):
        write_soft_labels(model, Views(small_set(random_images(seed=1)), SETTINGS), labels)
    with pytest.raises(ValueError, match=r"`labels` must be a store of the view settings in `views`.*`labels.views`"):
        write_soft_labels(model, Views(small_set(), ViewSettings(seed=1)), labels)
    assert labels.missing_views() == [0, 1, 2, 3, 4]
