from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from inputs import mistakes, mostly, odd_numbers, seeds
from outcomes import REFUSED, outcome

from lt_callbacks.corruption import (
    PROFILES,
    TRANSITION_KINDS,
    Imbalance,
    Manifest,
    Noise,
    build_manifest,
    class_counts,
    corrupt_labels,
    hashed_uniform,
    longtail_indices,
    transition_matrix,
)

RATIOS = st.floats(0, 1, exclude_max=True)


@st.composite
def label_arrays(draw, num_classes):
    """(N,) labels of some dtype that hold every class."""
    more = draw(st.lists(st.integers(0, num_classes - 1), max_size=60))
    dtype = draw(st.sampled_from([np.int8, np.uint8, np.int32, np.uint64, np.int64]))
    labels = np.array([*range(num_classes), *more], dtype=dtype)
    return np.random.default_rng(draw(seeds)).permutation(labels)


@given(
    n_max=mostly(st.integers(-2, 10**6), st.sampled_from([np.int8(100), np.int32(2**31 - 1), 2**53])),
    num_classes=st.one_of(st.integers(-1, 300), st.floats(), st.none()),
    factor=mostly(st.floats(1, 1e6)),
    profile=mostly(st.sampled_from(PROFILES)),
)
def test_class_sizes_fall_from_the_head(n_max, num_classes, factor, profile):
    sizes = outcome(class_counts, n_max, num_classes, imbalance_factor=factor, profile=profile)
    if sizes is not REFUSED:
        assert sizes.dtype == np.int64
        assert (len(sizes), sizes[0]) == (num_classes, n_max)
        assert (np.diff(sizes) <= 0).all()
        assert sizes[-1] >= 0


@given(
    kind=mostly(st.sampled_from([*TRANSITION_KINDS, "human"])),
    num_classes=st.one_of(st.integers(-1, 12), st.just(10), st.floats(), st.none()),
    ratio=mostly(RATIOS),
    prior=mostly(st.none(), st.lists(odd_numbers, max_size=12)),
)
def test_rows_of_a_transition_sum_to_one(kind, num_classes, ratio, prior):
    matrix = outcome(transition_matrix, kind, num_classes, ratio=ratio, class_prior=prior)
    if matrix is not REFUSED:
        assert matrix.shape == (num_classes, num_classes)
        assert ((matrix >= 0) & (matrix <= 1 + 1e-12)).all()
        np.testing.assert_allclose(matrix.sum(axis=1), 1)


@given(
    prior=st.lists(st.sampled_from([0.0, 5e-324, 1e-300, 1.0, 3.0, 1e300, 1.7e308]), min_size=3, max_size=8),
    ratio=RATIOS,
)
def test_class_frequencies_of_any_scale_give_a_transition(prior, ratio):
    matrix = outcome(transition_matrix, "class_frequency", len(prior), ratio=ratio, class_prior=prior)
    if matrix is not REFUSED:
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
        np.testing.assert_allclose(np.diag(matrix), 1 - ratio)


@given(data=st.data(), num_classes=st.integers(2, 9), seed=seeds, low=RATIOS, high=RATIOS)
def test_noise_is_nested_and_follows_the_sample_not_its_place(data, num_classes, seed, low, high):
    labels = data.draw(label_arrays(num_classes))
    low, high = sorted((low, high))
    at_low, at_high = (
        corrupt_labels(labels, transition_matrix("symmetric", num_classes, ratio=ratio), seed=seed)
        for ratio in (low, high)
    )
    is_wrong = at_low != labels
    assert (at_high[is_wrong] == at_low[is_wrong]).all()
    assert ((at_high >= 0) & (at_high < num_classes)).all()
    order = np.random.default_rng(seed).permutation(len(labels))[: 1 + len(labels) // 2]
    matrix = transition_matrix("symmetric", num_classes, ratio=high)
    assert (corrupt_labels(labels[order], matrix, seed=seed, positions=order) == at_high[order]).all()


@given(data=st.data(), num_classes=st.integers(2, 9), seed=seeds, factors=st.tuples(st.floats(1, 30), st.floats(1, 30)))
def test_the_set_of_a_larger_imbalance_lies_in_that_of_a_smaller_one(data, num_classes, seed, factors):
    labels = data.draw(label_arrays(num_classes))
    few, many = (
        outcome(longtail_indices, labels, imbalance_factor=factor, seed=seed)
        for factor in sorted(factors, reverse=True)
    )
    for kept in (few, many):
        if kept is not REFUSED:
            assert (np.diff(kept) > 0).all()
            assert set(labels[kept]) == set(range(num_classes))
    if few is not REFUSED and min(factors) > 1:
        assert set(few) <= set(many)


@given(
    data=st.data(),
    num_classes=st.integers(2, 9),
    factor=st.floats(1, 4),
    kind=st.sampled_from(["symmetric", "pair_flip", "class_frequency", "none"]),
    ratio=RATIOS,
    seed=seeds,
)
def test_given_labels_differ_where_the_manifest_says(tmp_path_factory, data, num_classes, factor, kind, ratio, seed):
    labels = data.draw(label_arrays(num_classes))
    noise = Noise(kind=kind, ratio=0.0 if kind == "none" else ratio)
    manifest = outcome(
        build_manifest,
        labels,
        dataset="toy",
        num_classes=num_classes,
        imbalance=Imbalance(factor=factor),
        noise=noise,
        seed=seed,
        also=("imbalance_factor",),
    )
    if manifest is REFUSED:
        return
    true = np.asarray(labels, dtype=np.int64)[manifest.indices]
    assert (manifest.true_labels == true).all()
    assert manifest.num_changed == int((manifest.given_labels != true).sum())
    counts = np.bincount(true * num_classes + manifest.given_labels, minlength=num_classes**2).reshape(num_classes, -1)
    np.testing.assert_allclose(manifest.realised_transition, counts / counts.sum(axis=1, keepdims=True))
    path = manifest.save(tmp_path_factory.mktemp("manifest") / "m.json")
    assert Manifest.load(path) == manifest


@given(
    positions=mostly(st.lists(st.integers(0, 2**63 - 1), max_size=20)),
    seed=mostly(st.integers(0, 10**30)),
    purpose=mostly(st.text()),
)
def test_hashed_numbers_are_uniform_numbers(positions, seed, purpose):
    numbers = outcome(hashed_uniform, positions, seed=seed, purpose=purpose)
    if numbers is not REFUSED:
        assert ((numbers >= 0) & (numbers < 1)).all()
        assert (hashed_uniform(positions, seed=seed, purpose=purpose) == numbers).all()


@given(
    labels=mostly(st.lists(st.integers(-2, 4), max_size=8)),
    transition=mostly(st.just(np.full((3, 3), 1 / 3)), st.lists(st.lists(odd_numbers, max_size=3), max_size=3)),
    seed=mostly(st.integers(0, 9)),
    positions=mostly(st.none()),
)
def test_any_arguments_of_the_noise_give_labels_or_a_name(labels, transition, seed, positions):
    given_labels = outcome(corrupt_labels, labels, transition, seed=seed, positions=positions)
    if given_labels is not REFUSED:
        assert len(given_labels) == len(labels)


@given(
    labels=mostly(st.just([0, 0, 1]), st.just([0, 2**40])),
    factor=mistakes,
    seed=mistakes,
    order=mostly(st.none()),
    valid=st.integers(0, 7),
)
def test_any_arguments_of_the_imbalance_give_positions_or_a_name(labels, factor, seed, order, valid):
    factor, seed, order = (
        1.5 if valid & 1 else factor,
        0 if valid & 2 else seed,
        None if valid & 4 else order,
    )
    outcome(longtail_indices, labels, imbalance_factor=factor, seed=seed, class_order=order)


@given(
    labels=mostly(st.just([0, 0, 1])),
    num_classes=st.one_of(st.just(2), st.integers(-2, 100), st.text(max_size=1)),
    imbalance=mostly(st.just(Imbalance())),
    noise=mostly(st.just(Noise())),
    seed=mostly(st.just(0)),
)
def test_any_arguments_of_a_manifest_give_one_or_a_name(labels, num_classes, imbalance, noise, seed):
    outcome(
        build_manifest,
        labels,
        dataset="toy",
        num_classes=num_classes,
        imbalance=imbalance,
        noise=noise,
        seed=seed,
        also=("class_order", "imbalance_factor"),
    )


@given(settings=st.dictionaries(st.sampled_from(["profile", "factor", "class_order"]), mistakes, min_size=1))
def test_any_settings_of_an_imbalance_are_kept_or_named(settings):
    outcome(Imbalance, **settings)


@given(
    kind=mostly(st.sampled_from([*TRANSITION_KINDS, "human", "custom"])),
    ratio=mostly(RATIOS),
    key=mostly(st.none()),
)
def test_any_settings_of_a_noise_are_kept_or_named(kind, ratio, key):
    outcome(Noise, kind=kind, ratio=ratio, given_labels_key=key)


@given(
    indices=mostly(st.just([0, 2])),
    given=mostly(st.just([0, 1])),
    true=mostly(st.just([0, 1]), st.none()),
    num_classes=st.one_of(st.just(2), st.integers(-1, 9), st.text(max_size=1)),
    settings=mostly(st.just({})),
    dataset=mostly(st.just("toy")),
)
def test_any_fields_of_a_manifest_are_kept_or_named(indices, given, true, num_classes, settings, dataset):
    outcome(
        Manifest,
        dataset=dataset,
        num_classes=num_classes,
        indices=indices,
        given_labels=given,
        settings=settings,
        true_labels=true,
    )
