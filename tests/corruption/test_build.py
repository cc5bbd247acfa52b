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

ROOT = Path(__file__).resolve().parents[2]
REAL_LABELS = ROOT.parent / "shared" / "data" / "labels.npz"
REPEATED = np.repeat(np.arange(10), 100)
NOISES = ["symmetric", "symmetric_inclusive", "pair_flip", "asymmetric", "class_frequency"]

# data set, imbalance, noise, kept samples, share of wrong labels, SHA-256; docs/noise.md shows the same rows
PUBLISHED = [
    (
        "repeated",
        "exponential 10",
        "symmetric 0.4",
        403,
        "0.4045",
        "733dc14604c117adffbc7775684b57d6fe16c0ac18bfc89baf5ca9dd39a3bee2",
    ),
    (
        "repeated",
        "exponential 10",
        "symmetric_inclusive 0.4",
        403,
        "0.3648",
        "274be79884c52df85623066a5e0a491c5eaccce103226e9c7f6cc0fa144ab627",
    ),
    (
        "repeated",
        "exponential 10",
        "pair_flip 0.4",
        403,
        "0.4045",
        "8c7ee8e9ee0ab5b4bdbbcb8aa02cebfcf8b11799dabb4113d40a5b9f5b42751b",
    ),
    (
        "repeated",
        "exponential 10",
        "asymmetric 0.4",
        403,
        "0.1563",
        "4e084421069cc81200fe02ac67fa124792adb652c9decdeb97580a7ca5083678",
    ),
    (
        "repeated",
        "exponential 10",
        "class_frequency 0.4",
        403,
        "0.4045",
        "88dd1cd7b6f13cc4baf482edc0968d4e697c8f86973834c5d34dece23412043e",
    ),
    (
        "repeated",
        "step 20",
        "symmetric 0.2",
        525,
        "0.1848",
        "4be8f6b6b11e87dd32565325d414c20669f6d5aeb82efbcf845e6ac6253b1649",
    ),
    (
        "repeated",
        "none 1",
        "none 0",
        1_000,
        "0.0000",
        "343e03fa878415d28e5bb10f714d2cefd49c3c62da4b928277067530c33152d5",
    ),
    (
        "cifar10",
        "exponential 10",
        "symmetric 0.2",
        20_431,
        "0.2006",
        "0b300b6e14ba2d16675c9cc5127850ae853cc7644fc51ab67da94360f1f3eb91",
    ),
    (
        "cifar10",
        "exponential 10",
        "symmetric 0.4",
        20_431,
        "0.4005",
        "7a62165b6740669101994f41bcbdf0cff6cb436ba918c72d300c5035260c66dc",
    ),
    (
        "cifar10",
        "exponential 50",
        "symmetric 0.2",
        13_996,
        "0.2029",
        "6d29f3e3aa2229e8cb2c76f3680228e4e1d80049da7b7d8adb1b91de7cb6a7b3",
    ),
    (
        "cifar10",
        "exponential 50",
        "symmetric 0.4",
        13_996,
        "0.4030",
        "b8c797d50b206bb51e0e9d4520ae7dede572556bfdb9e003f9be3ae680beab41",
    ),
    (
        "cifar10",
        "exponential 100",
        "symmetric 0.2",
        12_406,
        "0.2034",
        "de06acd1c1e97f43fa552410ea4577bf5d794a67e71195dd160c73d644f2eeb9",
    ),
    (
        "cifar10",
        "exponential 100",
        "symmetric 0.4",
        12_406,
        "0.4028",
        "200583a22dcae5b5bd74c567155a88ea980d306b6a43b92db3395e23d9c8826b",
    ),
    (
        "cifar100",
        "exponential 10",
        "symmetric 0.2",
        19_573,
        "0.2049",
        "dce6084aaf581e576afa432002f68ed13228bbb9dc079f4b8f069b38436caf2d",
    ),
    (
        "cifar100",
        "exponential 10",
        "symmetric 0.4",
        19_573,
        "0.4007",
        "82defae3d6a7e30f941c08abd8ff76a95c4ff3478f212f584a1d443ac5a604d8",
    ),
    (
        "cifar100",
        "exponential 50",
        "symmetric 0.2",
        12_608,
        "0.2048",
        "330cd5e76ef5855fe903c481e68c51dde6ae5d5e461fbc959d7337ceed694af1",
    ),
    (
        "cifar100",
        "exponential 50",
        "symmetric 0.4",
        12_608,
        "0.3997",
        "67505291b251a636075e6ce8af62b770ff2e6b7823551be6698a8846845fb1fe",
    ),
    (
        "cifar100",
        "exponential 100",
        "symmetric 0.2",
        10_847,
        "0.2038",
        "c832981224c14fd186c82e31e106f70153724b4d198b804f0daeb64fb0f6f194",
    ),
    (
        "cifar100",
        "exponential 100",
        "symmetric 0.4",
        10_847,
        "0.3973",
        "0132e2d869b2bd461cac8c53b6c4f73f375129cc3e752f4ce6a130c57430f46a",
    ),
    (
        "cifar10",
        "exponential 10",
        "human worse_label",
        20_431,
        "0.4046",
        "43b9bde9343d350ba7504e3828fee89c84b5efdf210ecf8dde8272bc1cee26bb",
    ),
]


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


def published_cell(dataset: str, imbalance: str, noise: str) -> Manifest:
    profile, factor = imbalance.split()
    kind, detail = noise.split()
    if dataset == "repeated":
        labels, num_classes = REPEATED, 10
    else:
        if not REAL_LABELS.is_file():
            pytest.skip("needs the real CIFAR labels in ../shared/data/labels.npz")
        num_classes = int(dataset.removeprefix("cifar"))
        with np.load(REAL_LABELS) as archive:
            labels = archive[f"{dataset}_train_y"]
    if kind == "human":
        chosen = Noise(kind=kind, given_labels_file=REAL_LABELS, given_labels_key=f"{dataset}n_{detail}")
    else:
        chosen = Noise(kind=kind, ratio=float(detail))
    return build_manifest(
        labels,
        dataset=dataset,
        num_classes=num_classes,
        imbalance=Imbalance(profile=profile, factor=float(factor)),
        noise=chosen,
        seed=0,
    )


@pytest.mark.parametrize("cell", PUBLISHED, ids=lambda cell: "-".join(cell[:3]).replace(" ", "_"))
def test_published_cells(cell: tuple[str, str, str, int, str, str]) -> None:
    dataset, imbalance, noise, num_samples, rate, digest = cell
    made = published_cell(dataset, imbalance, noise)
    assert len(made) == num_samples
    assert f"{made.noise_rate:.4f}" == rate
    assert made.sha256 == digest


@pytest.mark.parametrize("cell", PUBLISHED, ids=lambda cell: "-".join(cell[:3]).replace(" ", "_"))
def test_docs_show_the_published_cells(cell: tuple[str, str, str, int, str, str]) -> None:
    dataset, imbalance, noise, num_samples, rate, digest = cell
    row = f"| `{dataset}` | {imbalance} | {noise} | {num_samples:,} | {rate} | `{digest}` |"
    assert row in (ROOT / "docs" / "noise.md").read_text(encoding="utf-8").splitlines()


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
    cells = {
        (factor, ratio): build(labels, imbalance=Imbalance(factor=factor), noise=Noise(kind=kind, ratio=ratio))
        for factor in (10, 50, 100)
        for ratio in (0.2, 0.4)
    }
    for (factor, ratio), inner in cells.items():
        for (outer_factor, outer_ratio), outer in cells.items():
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
            r"`class_order` must hold each of the 10 classes once; got 2\. Head",
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
