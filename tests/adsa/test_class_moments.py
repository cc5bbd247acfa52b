import pytest
import torch
from adsa_reference import own_probs, problem

from lt_callbacks.adsa import class_moments as moments
from lt_callbacks.adsa.class_moments import Tilts, class_moments
from lt_callbacks.adsa.inputs import centred_log_prior
from lt_callbacks.adsa.nodes import chebyshev_nodes

NODES = chebyshev_nodes(-1.0, 4.0, log_prior_range=4.6)


def tilts(prior):
    return Tilts.build(centred_log_prior(prior), NODES)


def sums(logits, intended, prior, weight=None):
    views = logits if logits.ndim == 3 else logits[None]
    return class_moments(views, intended, weight, tilts=tilts(prior))


def by_hand(logits, intended, prior, weight):
    """The five sums of a class by one loop over nodes; the slope by a central difference."""
    step = 1e-4
    result = torch.zeros(len(prior), 5, len(NODES.taus), dtype=torch.float64)
    for position, tau in enumerate(NODES.taus.tolist()):
        p = own_probs(logits, intended, prior, tau)
        slope = (own_probs(logits, intended, prior, tau + step) - own_probs(logits, intended, prior, tau - step)) / (
            2 * step
        )
        w = weight.double()
        for column, terms in enumerate((w * p, w**2 * p, w**2 * p**2, w**2 * p * slope, w**2 * slope**2)):
            for number in range(len(prior)):
                result[number, column, position] = terms[intended == number].sum()
    return result


@pytest.mark.parametrize("num_views", [1, 3])
def test_sums_are_those_of_a_plain_loop(num_views):
    logits, intended, prior = problem(0, num_classes=5, images_per_class=7, uneven=True)
    noise = torch.randn(num_views, *logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    views = logits + noise
    weight = torch.linspace(0.0, 2.0, len(intended))
    curves, totals, refused = sums(views, intended, prior, weight)
    torch.testing.assert_close(curves, by_hand(views, intended, prior, weight), rtol=0, atol=1e-4)
    # The sums without a slope are exact at the nodes.
    torch.testing.assert_close(curves[:, :3], by_hand(views, intended, prior, weight)[:, :3], rtol=0, atol=1e-12)
    for number in range(5):
        w = weight[intended == number].double()
        expected = [float((w > 0).sum()), float(w.sum()), float((w**2).sum())]
        assert totals[number].tolist() == pytest.approx(expected, rel=1e-12)
    assert refused.tolist() == [0, 0, 0]


def test_chunks_do_not_matter(monkeypatch):
    logits, intended, prior = problem(1, num_classes=5)
    whole = sums(logits, intended, prior)
    for entries in (1, 2000, 3210):
        monkeypatch.setitem(moments._CHUNK_ENTRIES, "cpu", entries)
        for got, expected in zip(sums(logits, intended, prior), whole, strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)


def test_temporaries_stay_bounded():
    """The rows of a chunk shrink as classes, views and nodes grow."""
    seen = []

    def record(logits, own, tilts):
        seen.append(logits.shape)
        return torch.zeros(logits.shape[1], len(tilts.factors), dtype=torch.float64)

    prior = torch.ones(1000, dtype=torch.float64) / 1000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "_own_class_probs", record)
        sums(torch.zeros(4, 3000, 1000), torch.zeros(3000).long(), prior)
    assert sum(shape[1] for shape in seen) == 3000
    assert max(shape.numel() for shape in seen) <= 2**18


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_logits_count_as_what_they_hold(dtype):
    logits, intended, prior = problem(2)
    narrow = logits.to(dtype)
    got = sums(narrow, intended, prior)
    assert all(part.dtype == torch.float64 for part in got)
    torch.testing.assert_close(got[0], sums(narrow.double(), intended, prior)[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [100.0, 1e4])
def test_extreme_logits_stay_probabilities(scale):
    logits, intended, prior = problem(3, scale=scale)
    curves, _, refused = sums(logits, intended, prior)
    assert bool(curves.isfinite().all())
    assert refused.tolist() == [0, 0, 0]
    weight = torch.ones(len(intended), dtype=torch.float64)
    torch.testing.assert_close(curves[:, 0], by_hand(logits, intended, prior, weight)[:, 0], rtol=0, atol=1e-11)


def test_images_that_cannot_be_used_are_counted_and_touch_nothing():
    logits, intended, prior = problem(4)
    weight = torch.ones(len(intended))
    views, wrong_class, wrong_weight = logits.clone()[None].repeat(2, 1, 1), intended.clone(), weight.clone()
    views[0, 0, 1], views[1, 1, 2], views[1, 2, 0] = torch.nan, torch.inf, -torch.inf
    wrong_class[3], wrong_class[4] = -1, len(prior)
    wrong_weight[5], wrong_weight[6], wrong_weight[7] = torch.nan, -1.0, torch.inf
    curves, totals, refused = sums(views, wrong_class, prior, wrong_weight)
    kept = slice(8, None)
    expected = sums(logits[kept], intended[kept], prior, weight[kept])
    assert refused.tolist() == [3, 2, 3]
    torch.testing.assert_close(curves, expected[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(totals, expected[1])


def test_no_images_are_sums_of_zero():
    prior = torch.ones(3, dtype=torch.float64) / 3
    for part in sums(torch.zeros(0, 3), torch.zeros(0).long(), prior):
        assert not part.any()


def test_nothing_is_read_on_the_host():
    """On the meta device there are no values: reading one, or a shape that depends on one, is an error."""
    prior = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    meta = torch.device("meta")
    curves, totals, refused = class_moments(
        torch.zeros(2, 5, 3, device=meta),
        torch.zeros(5, dtype=torch.int64, device=meta),
        torch.zeros(5, device=meta),
        tilts=tilts(prior).to(meta),
    )
    assert (curves.shape, totals.shape, refused.shape) == ((3, 5, len(NODES.taus)), (3, 3), (3,))


def test_no_graph_is_kept():
    logits, intended, prior = problem(5)
    assert not any(part.requires_grad for part in sums(logits.requires_grad_(), intended, prior))
