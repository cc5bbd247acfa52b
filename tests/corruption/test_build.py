from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lt_callbacks.corruption import (
    Imbalance,
    Manifest,
    Noise,
    build_manifest,
    class_counts,
    corrupt_labels,
    longtail_indices,
    transition_matrix,
)

REPEATED = np.repeat(np.arange(10), 100)
NOISES = ["symmetric", "symmetric_inclusive", "pair_flip", "asymmetric", "class_frequency"]


def build(labels: np.ndarray = REPEATED, *, num_classes: int = 10, seed: int = 0, **settings: object) -> Manifest:
    imbalance = settings.get("imbalance", Imbalance(factor=10))
    noise = settings.get("noise", Noise(kind="symmetric", ratio=0.4))
    return build_manifest(
        labels,
        dataset="toy",
        num_classes=num_classes,
        imbalance=imbalance,  # type: ignore[arg-type]
        noise=noise,  # type: ignore[arg-type]
        seed=seed,
    )


def test_imbalance_first_then_noise_on_what_is_left() -> None:
    made = build(seed=3)
    indices = longtail_indices(REPEATED, imbalance_factor=10, seed=3)
    assert np.array_equal(made.indices, indices)
    assert np.array_equal(made.true_labels, REPEATED[indices])
    assert np.bincount(made.true_labels).tolist() == class_counts(100, 10, imbalance_factor=10).tolist()
    matrix = transition_matrix("symmetric", 10, ratio=0.4)
    assert np.array_equal(made.given_labels, corrupt_labels(REPEATED[indices], matrix, seed=3, positions=indices))
    assert made.dataset == "toy"


def test_class_frequency_uses_the_sizes_that_are_left() -> None:
    made = build(np.repeat(np.arange(10), 2000), noise=Noise(kind="class_frequency", ratio=0.5))
    sizes = np.bincount(made.true_labels)
    matrix = transition_matrix("class_frequency", 10, ratio=0.5, class_prior=sizes)
    assert np.array_equal(made.given_labels, corrupt_labels(made.true_labels, matrix, seed=0, positions=made.indices))
    assert made.realised_transition[9, 0] > 5 * made.realised_transition[9, 8]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", NOISES)
def test_realised_rate_after_imbalance_is_within_three_standard_errors(kind: str, seed: int) -> None:
    made = build(np.tile(np.arange(10), 2000), noise=Noise(kind=kind, ratio=0.4), seed=seed)
    right = {
        "symmetric_inclusive": np.full(10, 0.64),
        "asymmetric": np.where(np.isin(range(10), [2, 3, 4, 5, 9]), 0.6, 1),
    }
    stays = right.get(kind, np.full(10, 0.6))[made.true_labels]
    standard_error = np.sqrt((stays * (1 - stays)).sum()) / len(made)
    assert abs(made.noise_rate - (1 - stays.mean())) < 3 * standard_error


@pytest.mark.parametrize("kind", ["symmetric", "symmetric_inclusive", "pair_flip", "asymmetric"])
def test_nested_over_factor_and_ratio(kind: str) -> None:
    labels = np.tile(np.arange(10), 500)
    manifests = {
        (factor, ratio): build(labels, imbalance=Imbalance(factor=factor), noise=Noise(kind=kind, ratio=ratio))
        for factor in (10, 50, 100)
        for ratio in (0.2, 0.4)
    }
    for (factor, ratio), inner in manifests.items():
        for (outer_factor, outer_ratio), outer in manifests.items():
            if outer_factor > factor or outer_ratio < ratio:
                continue
            place = np.searchsorted(outer.indices, inner.indices)
            assert np.array_equal(outer.indices[place], inner.indices)
            wrong = inner.given_labels != inner.true_labels
            assert np.array_equal(outer.given_labels[place][wrong], inner.given_labels[wrong])
            if outer_ratio == ratio:
                assert np.array_equal(outer.given_labels[place], inner.given_labels)


def test_global_random_state_is_neither_read_nor_moved() -> None:
    results = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(build().sha256)
        assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert results[0] == results[1]


def test_seed_changes_the_set_and_label_dtype_does_not() -> None:
    assert build(seed=0) != build(seed=1)
    assert build(REPEATED.astype("uint8")) == build(REPEATED.astype(">i8")) == build()


def test_human_labels_are_looked_up_by_original_position(tmp_path: Path) -> None:
    given = (REPEATED + np.arange(1000) % 3) % 10
    np.save(tmp_path / "given.npy", given)
    made = build(noise=Noise(kind="human", given_labels_file=tmp_path / "given.npy"))
    assert np.array_equal(made.given_labels, given[made.indices])
    assert np.array_equal(made.indices, build().indices)
    (tmp_path / "elsewhere").mkdir()
    np.savez(tmp_path / "elsewhere" / "given.npz", a=given)
    moved = Noise(kind="human", given_labels_file=tmp_path / "elsewhere" / "given.npz", given_labels_key="a")
    assert build(noise=moved) == made


def test_human_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    human = Noise(kind="human", given_labels_file=tmp_path / "given.npy")
    np.save(tmp_path / "given.npy", REPEATED[build().indices])
    with pytest.raises(
        ValueError, match=r"each of the 1000 samples of the full original training set; got 403 in 'given.npy'"
    ):
        build(noise=human)
    np.save(tmp_path / "given.npy", REPEATED + 1)
    with pytest.raises(ValueError, match=r"`given_labels_file` must be in 0..9; got 10 at index 900"):
        build(noise=human)


def test_custom_matrix_and_rows_equal_the_kind_they_write_out(tmp_path: Path) -> None:
    matrix = transition_matrix("symmetric", 10, ratio=0.4)
    np.save(tmp_path / "matrix.npy", matrix)
    np.save(tmp_path / "rows.npy", matrix[REPEATED])
    for name in ("matrix.npy", "rows.npy"):
        made = build(noise=Noise(kind="custom", transition_file=tmp_path / name))
        assert np.array_equal(made.given_labels, build().given_labels)
        assert made != build()


def test_settings_tell_how_to_build_it_again() -> None:
    made = build(imbalance=Imbalance(factor=10, profile="step", class_order=range(9, -1, -1)), seed=np.int64(4))  # type: ignore[arg-type]
    assert made.settings["seed"] == 4
    again = build(imbalance=Imbalance(**made.settings["imbalance"]), noise=Noise(**made.settings["noise"]), seed=4)
    assert again == made
    assert np.bincount(made.true_labels).tolist() == [10] * 5 + [100] * 5


def test_label_order_is_the_default_however_it_is_said() -> None:
    assert build(imbalance=Imbalance(factor=10, class_order=range(10))) == build(imbalance=Imbalance(factor=10.0))


def test_no_imbalance_no_noise_is_the_original_set() -> None:
    made = build(imbalance=Imbalance(profile="none"), noise=Noise())
    assert np.array_equal(made.indices, np.arange(1000))
    assert np.array_equal(made.given_labels, REPEATED)
    assert made.noise_rate == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 5}, r"`labels` must be in 0..4; got 9 at index 900\. Correct `num_classes` or the labels"),
        ({"num_classes": 11}, r"`labels` must hold at least one sample of every class; got none of class 10 \(of 11\)"),
        (
            {"imbalance": Imbalance(factor=101)},
            r"must leave at least one sample in every class; got 101, which leaves class 9",
        ),
        (
            {"imbalance": Imbalance(class_order=(1, 0))},
            r"`class_order` must hold each of the 10 classes once; got 2\. Put the head",
        ),
        (
            {"imbalance": Imbalance(class_order=(1,) * 10)},
            r"`class_order` must hold each of 0..C-1 once, C >= 2; got \[1, 1",
        ),
        ({"seed": -1}, r"`seed` must be an integer >= 0; got -1"),
    ],
)
def test_refuses(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**change)


def test_dictionaries_are_refused_by_name() -> None:
    given = {"dataset": "toy", "num_classes": 10, "imbalance": Imbalance(), "noise": Noise(), "seed": 0}
    for name, value in (("noise", {"kind": "pair_flip", "ratio": 0.2}), ("imbalance", {"factor": 5.0})):
        kind = name.capitalize()
        with pytest.raises(TypeError, match=f"^`{name}` must be an? {kind}; got .*Pass `{kind}"):
            build_manifest(REPEATED, **{**given, name: value})  # type: ignore[arg-type]
