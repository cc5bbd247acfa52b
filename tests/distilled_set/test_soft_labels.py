import pytest
import torch
from small_sets import random_images, small_set
from small_stores import VIEWS, logits_of, store, written_store

from lt_callbacks.distilled_set import PLAIN_VIEW, SoftLabels
from lt_callbacks.distilled_set.compact_labels import decode, encode


@pytest.fixture
def labels(tmp_path):
    return written_store(tmp_path / "labels")


def test_labels_are_those_written_up_to_float16_in_any_order(labels):
    for view in (2, 0, 1, 0):
        for samples in ([11, 0, 3, 3, 7], [5], list(range(12))):
            found = labels.logits(torch.tensor(samples), view)
            assert found.dtype == torch.float32
            assert torch.equal(found, logits_of(view)[samples].half().float())
    assert labels.logits(torch.zeros(0, dtype=torch.int64), 1).shape == (0, 4)


def test_a_store_knows_what_it_holds(labels):
    found = SoftLabels.open(labels.folder, distilled=small_set())
    assert (found.views, found.num_views, found.num_images, found.num_classes) == (VIEWS, 3, 12, 4)
    assert found.calibration == {"tau": 1.5}
    assert found.top_k is None
    assert found.missing_views() == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_precision_are_kept(tmp_path, dtype):
    made = store(tmp_path)
    made.write(1, logits_of(1).to(dtype).requires_grad_())
    expected = logits_of(1).to(dtype).half().float()
    assert torch.equal(made.logits(torch.arange(12), 1), expected)


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_compact_labels_come_back_as_normalised_log_probabilities(tmp_path, top_k):
    made = store(tmp_path, top_k=top_k)
    made.write(2, logits_of(2))
    samples = torch.tensor([4, 11, 0, 4])
    found = SoftLabels.open(tmp_path).logits(samples, 2)
    expected = decode(encode(logits_of(2), top_k=top_k), num_classes=4)[samples]
    assert torch.equal(found, expected)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(4))
    assert torch.equal(found.argmax(1), logits_of(2)[samples].argmax(1))
    assert made.top_k == top_k


def test_a_store_is_continued(labels):
    (labels.folder / "view-00001.safetensors").unlink()
    again = store(labels.folder, calibration={"tau": 1.5})
    assert again.missing_views() == [1]
    again.write(1, logits_of(1))
    assert again.missing_views() == []
    assert torch.equal(again.logits(torch.arange(12), 1), logits_of(1).half().float())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"calibration": {"tau": 1.0}}, "calibration"),
        ({"calibration": None}, "calibration"),
        ({"num_views": 4}, "num_views"),
        ({"top_k": 2}, "form"),
        ({"views": PLAIN_VIEW}, "views"),
        ({"distilled": small_set(random_images(seed=1))}, "distilled_sha256"),
    ],
)
def test_a_store_of_other_facts_is_not_continued(labels, changes, name):
    settings = {"distilled": small_set(), "views": VIEWS, "num_views": 3, "calibration": {"tau": 1.5}, **changes}
    with pytest.raises(ValueError, match=rf"`folder` must be new or hold labels of equal facts; .* whose `{name}` is "):
        SoftLabels.create(labels.folder, **settings)
    assert SoftLabels.open(labels.folder).missing_views() == []


def test_labels_of_another_set_are_refused(labels):
    other = small_set(random_images(seed=1))
    with pytest.raises(
        ValueError, match=rf"`distilled` must be the set that .* labels, sha256 {small_set().sha256[:12]}"
    ):
        SoftLabels.open(labels.folder, distilled=other)


def test_there_must_be_a_store_to_open(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`folder` must hold a whole soft-label store.*soft_labels\.json"):
        SoftLabels.open(tmp_path)
    with pytest.raises(TypeError, match="`distilled` must be a DistilledSet; got str"):
        SoftLabels.create(tmp_path, distilled="set", views=VIEWS, num_views=1)


def test_the_range_of_float16_is_used_to_its_ends(tmp_path):
    logits = logits_of(0)
    logits[3, 1], logits[4, 2] = 65504.0, -65504.0
    store(tmp_path).write(0, logits)
    found = SoftLabels.open(tmp_path).logits(torch.tensor([3, 4]), 0)
    assert (float(found[0, 1]), float(found[1, 2])) == (65504.0, -65504.0)


def changed(place, value):
    logits = logits_of(0)
    logits[place] = value
    return logits


@pytest.mark.parametrize(
    ("logits", "error", "message"),
    [
        (logits_of(0).long(), TypeError, "`logits` must be a floating tensor; got torch.int64"),
        (logits_of(0).numpy(), TypeError, "`logits` must be a floating tensor; got ndarray"),
        (logits_of(0)[:11], ValueError, r"`logits` must have shape \(12, 4\).*got \(11, 4\)"),
        (logits_of(0).T, ValueError, r"got \(4, 12\)"),
        (changed((7, 2), torch.nan), ValueError, r"NaN or infinity at sample 7 of view 1 \(1 such samples\)"),
        (changed((7, 2), -torch.inf), ValueError, "`logits` must be finite; got .* sample 7 of view 1"),
        (changed((5, 0), 70000.0), ValueError, "at most 65504 in size.*got 70000 at sample 5 of view 1. Subtract"),
        (changed((5, 0), -65505.0), ValueError, "got 65505 at sample 5 of view 1"),
    ],
)
def test_logits_that_cannot_be_kept_are_refused_with_their_place(tmp_path, logits, error, message):
    made = store(tmp_path)
    with pytest.raises(error, match=message):
        made.write(1, logits)
    assert made.missing_views() == [0, 1, 2]


def test_the_compact_form_keeps_logits_beyond_float16_but_nothing_infinite(tmp_path):
    made = store(tmp_path, top_k=2)
    made.write(0, changed((5, 0), 1e6))
    assert made.logits(torch.tensor([5]), 0).exp()[0].tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match="`logits` must be finite; got NaN or infinity at sample 5 of view 1"):
        made.write(1, changed((5, 0), torch.inf))


@pytest.mark.parametrize("view", [-1, 3])
def test_a_view_beyond_the_store_is_refused(labels, view):
    with pytest.raises(ValueError, match=rf"`view` must be .* <= 2; got {view}. The store has 3 views"):
        labels.logits(torch.arange(12), view)
    with pytest.raises(ValueError, match="`view` must be"):
        labels.write(view, logits_of(0))


def test_a_sample_beyond_the_set_is_refused(labels):
    with pytest.raises(ValueError, match=r"`samples` must be positions in 0\.\.11; got 12"):
        labels.logits(torch.tensor([12]), 0)
    with pytest.raises(TypeError, match="`samples` must be an int64 tensor"):
        labels.logits([0], 0)
