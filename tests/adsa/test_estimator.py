import pickle

import pytest
import torch
from adsa_rank_workers import SHARES, estimator_worker, own_rows
from adsa_reference import problem
from spawned_ranks import run_ranks

from lt_callbacks.adsa import TauEstimator, fit_tau


def streamed(logits, intended, prior, *, batch_size=7, estimator=None):
    estimator = TauEstimator(prior) if estimator is None else estimator
    dim = logits.ndim - 2
    for batch in zip(logits.split(batch_size, dim=dim), intended.split(batch_size), strict=True):
        estimator.update(*batch)
    return estimator


def alike(fit, expected, *, tolerance=1e-9):
    assert fit.tau == pytest.approx(expected.tau, abs=tolerance)
    assert fit.interval == pytest.approx(expected.interval, abs=1e-6)
    torch.testing.assert_close(fit.spread, expected.spread)
    assert torch.equal(fit.num_images, expected.num_images)


@pytest.mark.parametrize("batch_size", [1, 7, 72, 1000])
def test_batches_do_not_matter(batch_size):
    logits, intended, prior = problem(0)
    expected = fit_tau(logits, intended, prior)
    alike(streamed(logits, intended, prior, batch_size=batch_size).compute(), expected)


def test_views_and_weights_stream_too():
    logits, intended, prior = problem(1)
    views = logits + torch.randn(3, *logits.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.rand(len(intended), generator=torch.Generator().manual_seed(1)) + 0.1
    estimator = TauEstimator(prior, shrink_to=1.0, shrink_sd=0.2, lowest=-0.5, highest=3.0)
    for start in range(0, len(intended), 11):
        part = slice(start, start + 11)
        estimator.update(views[:, part], intended[part], weight[part])
    settings = {"shrink_to": 1.0, "shrink_sd": 0.2, "lowest": -0.5, "highest": 3.0}
    expected = fit_tau(views, intended, prior, weight=weight, **settings)
    alike(estimator.compute(), expected)
    assert expected.tau != expected.unshrunk_tau


def test_it_goes_on_after_compute_and_forgets_on_reset():
    logits, intended, prior = problem(2)
    estimator = TauEstimator(prior)
    estimator.update(logits[:50], intended[:50])
    assert int(estimator.compute().num_images.sum()) == 50
    estimator.update(logits[50:], intended[50:])
    alike(estimator.compute(), fit_tau(logits, intended, prior))
    estimator.reset()
    estimator.update(logits[:50], intended[:50])
    alike(estimator.compute(), fit_tau(logits[:50], intended[:50], prior))


def test_calling_it_adds_the_batch_and_returns_nothing():
    logits, intended, prior = problem(3)
    estimator = TauEstimator(prior)
    assert estimator(logits[:1], intended[:1]) is None
    estimator(logits[1:], intended[1:])
    alike(estimator.compute(), fit_tau(logits, intended, prior))


def test_its_memory_does_not_grow():
    logits, intended, prior = problem(4)
    estimator = TauEstimator(prior)
    before = {name: state.shape for name, state in estimator.metric_state.items()}
    streamed(logits.repeat(20, 1), intended.repeat(20), prior, estimator=estimator)
    assert {name: state.shape for name, state in estimator.metric_state.items()} == before
    assert all(state.dtype == torch.float64 for state in estimator.metric_state.values())


@pytest.mark.parametrize(
    "cast",
    [
        lambda module: module.half(),
        lambda module: module.to(torch.bfloat16),
        lambda module: module.float(),
        lambda module: module.type(torch.float16),
        lambda module: (module[0].set_dtype(torch.float16), module)[1],
    ],
    ids=["half", "to", "float", "type", "set_dtype"],
)
def test_a_module_cast_to_less_leaves_the_sums(cast):
    logits, intended, prior = problem(5)
    parent = torch.nn.ModuleList([TauEstimator(prior), torch.nn.Linear(2, 2)])
    streamed(logits[:40], intended[:40], prior, estimator=parent[0])
    cast(parent)
    streamed(logits[40:], intended[40:], prior, estimator=parent[0])
    assert all(state.dtype == torch.float64 for state in parent[0].metric_state.values())
    alike(parent[0].compute(), fit_tau(logits, intended, prior))
    parent[0].reset()
    assert parent[0].curves.dtype == torch.float64


def test_an_image_that_comes_again_counts_once():
    logits, intended, prior = problem(11)
    weight = torch.rand(len(intended), generator=torch.Generator().manual_seed(1)) + 0.1
    estimator = TauEstimator(prior)
    index = torch.arange(len(intended)) * 10**9 - 5
    for part in (slice(0, 40), slice(20, 72), slice(10, 30)):
        repeated = torch.arange(len(intended))[part].repeat(2)
        estimator.update(logits[repeated], intended[repeated], weight[repeated], index[repeated])
    expected = fit_tau(logits, intended, prior, weight=weight)
    alike(estimator.compute(), expected)
    estimator.reset()
    for part in (slice(0, 40), slice(40, 72)):
        assert estimator(logits[part], intended[part], weight[part], index[part].to(torch.int64)) is None
    alike(estimator.compute(), expected)


def test_a_copy_of_an_unusable_image_is_not_refused_again():
    logits, intended, prior = problem(12)
    index = torch.arange(len(intended))
    broken, elsewhere = logits.clone(), intended.clone()
    broken[3, 0] = torch.nan
    elsewhere[5] = 99
    estimator = TauEstimator(prior)
    for _ in range(2):
        estimator.update(broken, elsewhere, index=index)
    with pytest.raises(ValueError, match="`logits` must be finite; got NaN or an infinity for 1 images"):
        estimator.compute()
    estimator.reset()
    estimator.update(logits, intended, index=index)
    # Only copies are wrong: they do not count.
    estimator.update(broken, elsewhere, torch.full((len(index),), torch.nan), index=index)
    alike(estimator.compute(), fit_tau(logits, intended, prior))


def test_images_without_an_index_all_count():
    logits, intended, prior = problem(13)
    estimator = TauEstimator(prior)
    estimator.update(logits, intended, index=torch.arange(len(intended)))
    estimator.update(logits, intended)
    assert int(estimator.compute().num_images.sum()) == 2 * len(intended)


def test_copies_remember_what_was_seen():
    logits, intended, prior = problem(14)
    index = torch.arange(len(intended))
    first = TauEstimator(prior)
    first.update(logits[:40], intended[:40], index=index[:40])
    for second in (first.clone(), pickle.loads(pickle.dumps(first))):
        second.update(logits, intended, index=index)
        alike(second.compute(), fit_tau(logits, intended, prior))
    first.update(logits, intended, index=index)
    alike(first.compute(), fit_tau(logits, intended, prior))


def test_it_moves_with_a_module():
    _, _, prior = problem(6)
    parent = torch.nn.ModuleList([TauEstimator(prior)]).to("meta")
    assert {state.device.type for state in parent[0].metric_state.values()} == {"meta"}
    with pytest.raises(ValueError, match="`logits` must be on the metric's device, meta; got cpu. Move the metric"):
        parent[0].update(torch.zeros(1, 6), torch.zeros(1).long())


@pytest.mark.parametrize("copy", [lambda metric: metric.clone(), lambda metric: pickle.loads(pickle.dumps(metric))])
def test_a_copy_goes_on_by_itself(copy):
    logits, intended, prior = problem(7)
    first = streamed(logits[:40], intended[:40], prior)
    second = copy(first)
    streamed(logits[40:], intended[40:], prior, estimator=second)
    alike(second.compute(), fit_tau(logits, intended, prior))
    assert int(first.totals[:, 0].sum()) == 40
    alike(pickle.loads(pickle.dumps(second)).compute(), second.compute())


def test_sums_made_in_inference_mode_can_be_added_to_outside():
    logits, intended, prior = problem(8)
    estimator = TauEstimator(prior)
    with torch.inference_mode():
        estimator.reset()
        estimator.update(logits[:40], intended[:40])
    estimator.update(logits[40:], intended[40:])
    alike(estimator.compute(), fit_tau(logits, intended, prior))


def test_a_checkpoint_carries_nothing_of_it():
    assert TauEstimator([9, 1]).state_dict() == {}
    assert list(TauEstimator([9, 1]).parameters()) == []


def test_values_are_refused_by_compute_and_not_before():
    logits, intended, prior = problem(9)
    estimator = TauEstimator(prior)
    broken = logits.clone()
    broken[[3, 5], 0] = torch.nan
    estimator.update(broken, intended)
    estimator.update(logits, intended)
    with pytest.raises(ValueError, match="`logits` must be finite; got NaN or an infinity for 2 images"):
        estimator.compute()
    estimator.reset()
    estimator.update(logits, intended)
    alike(estimator.compute(), fit_tau(logits, intended, prior))


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric TauEstimator")
def test_no_image_at_all_is_a_class_without_images():
    with pytest.raises(ValueError, match=r"no image of positive weight for 2 \(0, 1\) of 2 classes"):
        TauEstimator([9, 1]).compute()


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"logits": torch.zeros(4, 3)}, ValueError, r"`logits` must have shape \(B, 2\)"),
        ({"intended_class": torch.zeros(4)}, TypeError, "`intended_class` must be integers"),
        ({"weight": torch.ones(3)}, ValueError, r"`weight` must have shape \(4,\)"),
        ({"index": torch.zeros(4)}, TypeError, "`index` must be a tensor of integers; got torch.float32. Pass the"),
        ({"index": [0, 1, 2, 3]}, TypeError, "`index` must be a tensor of integers; got list"),
        ({"index": torch.zeros(3).long()}, ValueError, r"`index` must have shape \(4,\), one entry an image; got"),
    ],
)
def test_kinds_and_shapes_are_refused_at_once(arguments, error, text):
    given = {"logits": torch.zeros(4, 2), "intended_class": torch.zeros(4).long(), "weight": None, **arguments}
    with pytest.raises(error, match=text):
        TauEstimator([9, 1]).update(**given)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"class_prior": [9, 0]}, "`class_prior` must be finite and > 0"),
        ({"class_prior": [9, 1], "lowest": 4.0}, "`highest` must be a finite number > 4"),
        ({"class_prior": [9, 1], "shrink_sd": 0}, "`shrink_sd` must be a finite number > 0"),
    ],
)
def test_settings_are_refused_on_construction(arguments, text):
    with pytest.raises(ValueError, match=text):
        TauEstimator(**arguments)


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def ranks(request, tmp_path_factory):
    """The problem, and what each of several processes made of its share."""
    folder = tmp_path_factory.mktemp(f"ranks{request.param}")
    logits, intended, prior = problem(10)
    torch.save({"logits": logits, "intended": intended, "prior": prior}, folder / "problem.pt")
    run_ranks(estimator_worker, folder, num_ranks=request.param)
    found = [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(request.param)]
    return (logits, intended, prior), found


@pytest.mark.ddp
def test_ranks_with_any_shares_find_what_one_process_does(ranks):
    whole, found = ranks
    expected = fit_tau(*whole)
    for name, shares in SHARES[len(found)].items():
        for rank, got in enumerate(found):
            assert got[name]["tau"] == pytest.approx(expected.tau, abs=1e-9), name
            assert got[name]["tau"] == found[0][name]["tau"]
            assert got[name]["interval"] == pytest.approx(expected.interval, abs=1e-6)
            assert torch.equal(got[name]["num_images"], expected.num_images)
            rows = own_rows(shares, rank)
            assert got[f"{name}_again"] == rows.stop - rows.start


@pytest.mark.ddp
def test_what_a_sampler_repeats_to_fill_up_counts_once(ranks):
    whole, found = ranks
    expected = fit_tau(*whole)
    for got in found:
        assert got["padded"]["tau"] == pytest.approx(expected.tau, abs=1e-9)
        assert got["padded"]["interval"] == pytest.approx(expected.interval, abs=1e-6)
        assert torch.equal(got["padded"]["num_images"], expected.num_images)


@pytest.mark.ddp
def test_one_rank_alone_may_fit_at_once(ranks):
    whole, found = ranks
    assert found[0]["alone"] == fit_tau(*whole).tau


@pytest.mark.ddp
def test_a_bad_class_on_one_rank_is_an_error_on_all(ranks):
    for got in ranks[1]:
        assert got["error"].startswith("`intended_class` must lie in 0..5; got another value for 72 images.")
