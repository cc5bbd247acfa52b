"""The manifests of the standard settings are those that the docs show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lt_callbacks.corruption import Imbalance, Manifest, Noise, build_manifest

ROOT = Path(__file__).resolve().parents[2]
REAL_LABELS = ROOT.parent / "shared" / "data" / "labels.npz"
REPEATED = np.repeat(np.arange(10), 100)

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


def published_manifest(dataset: str, imbalance: str, noise: str) -> Manifest:
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


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: "-".join(row[:3]).replace(" ", "_"))
def test_published_manifests(row: tuple[str, str, str, int, str, str]) -> None:
    dataset, imbalance, noise, num_samples, rate, digest = row
    made = published_manifest(dataset, imbalance, noise)
    assert len(made) == num_samples
    assert f"{made.noise_rate:.4f}" == rate
    assert made.sha256 == digest


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: "-".join(row[:3]).replace(" ", "_"))
def test_docs_show_the_published_manifests(row: tuple[str, str, str, int, str, str]) -> None:
    dataset, imbalance, noise, num_samples, rate, digest = row
    line = f"| `{dataset}` | {imbalance} | {noise} | {num_samples:,} | {rate} | `{digest}` |"
    assert line in (ROOT / "docs" / "noise.md").read_text(encoding="utf-8").splitlines()
