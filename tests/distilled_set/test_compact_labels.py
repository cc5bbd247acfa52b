import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lt_callbacks.distilled_set import compact_error
from lt_callbacks.distilled_set.compact_labels import bytes_per_label, checked_top_k, decode, encode


def logits_of(num_labels=40, num_classes=10, scale=3.0, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(num_labels, num_classes, generator=generator, dtype=dtype)


def decoded_by_hand(parts, row, num_classes):
    """The documented formula, one label at a time."""
    widest = float(parts["range"][row])
    classes = [int(c) for c in parts["classes"][row]]
    weight = [math.exp(-widest)] * num_classes
    weight[classes[0]] = 1.0
    for place, c in enumerate(classes[1:]):
        weight[c] = math.exp(-widest * (int(parts["gaps"][row][place]) / 255) ** 2)
    return [w / sum(weight) for w in weight]


@pytest.mark.parametrize(("num_classes", "top_k"), [(10, 1), (10, 4), (10, 9), (10, 10), (300, 20), (2, 1)])
@pytest.mark.parametrize("scale", [0.0, 0.1, 3.0, 40.0])
def test_decoding_follows_the_documented_formula(num_classes, top_k, scale):
    parts = encode(logits_of(num_classes=num_classes, scale=scale), top_k=top_k)
    found = decode(parts, num_classes=num_classes)
    assert found.dtype == torch.float32
    assert found.shape == (40, num_classes)
    for row in range(40):
        expected = torch.tensor(decoded_by_hand(parts, row, num_classes))
        torch.testing.assert_close(found[row].exp(), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("num_classes", "index"), [(2, "uint8"), (256, "uint8"), (257, "uint16"), (65536, "uint16")])
def test_parts_have_the_documented_dtypes_and_sizes(num_classes, index):
    parts = encode(logits_of(3, num_classes), top_k=2)
    assert {name: (part.dtype.name, part.shape) for name, part in parts.items()} == {
        "classes": (index, (3, 2)),
        "gaps": ("uint8", (3, 1)),
        "range": ("float16", (3,)),
    }
    total = sum(part.nbytes for part in parts.values())
    assert total == 3 * bytes_per_label(num_classes=num_classes, top_k=2)


def test_classes_come_largest_first_and_the_right_ones():
    logits = logits_of(200, 300)
    classes = encode(logits, top_k=20)["classes"].astype(np.int64)
    assert np.array_equal(classes, logits.topk(20, dim=1).indices.numpy())


def test_the_highest_class_index_survives():
    logits = torch.zeros(1, 65536)
    logits[0, 65535] = 30.0
    assert int(decode(encode(logits, top_k=1), num_classes=65536).argmax()) == 65535


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_constant_added_to_a_label_changes_nothing(dtype):
    logits = logits_of().to(dtype)
    shift = torch.linspace(-64, 64, 40).round()[:, None]
    same = encode(logits.double() + shift, top_k=4)
    for name, part in encode(logits, top_k=4).items():
        assert np.array_equal(part, same[name])


def test_what_is_kept_is_near_and_the_rest_has_its_mass():
    logits = logits_of(500, 100)
    p = logits.double().softmax(1)
    q = decode(encode(logits, top_k=10), num_classes=100).double().exp()
    torch.testing.assert_close(q.sum(1), torch.ones(500).double(), rtol=0, atol=1e-6)
    is_kept = torch.zeros_like(p).scatter_(1, p.topk(10).indices, 1.0).bool()
    assert float((q[is_kept] / p[is_kept]).log().abs().max()) < 0.04
    rest, kept_rest = (values.masked_fill(is_kept, 0).sum(1) for values in (p, q))
    assert float((kept_rest / rest).log().abs().max()) < 0.04
    spread = q.masked_fill(is_kept, math.nan)
    assert float((spread.nan_to_num(nan=0.0).amax(1) - kept_rest / 90).abs().max()) < 1e-6


def test_all_classes_kept_is_a_rounding_only():
    error = compact_error(logits_of(500, 10), top_k=10)
    assert 0 < error["mean_total_variation"] < 0.005
    assert 0 <= error["mean_kl"] < 2e-4


def test_a_uniform_label_is_exact():
    assert torch.equal(decode(encode(torch.zeros(2, 8), top_k=3), num_classes=8), torch.full((2, 8), 1 / 8).log())


@pytest.mark.parametrize("scale", [1e3, 1e4, 6e4, 1e6])
def test_labels_without_doubt_stay_finite(scale):
    logits = logits_of(num_labels=5, scale=1.0).sign() * scale
    logits[:, 3] = 1.01 * scale
    found = decode(encode(logits, top_k=3), num_classes=10)
    assert found.isfinite().all()
    torch.testing.assert_close(found.exp(), logits.softmax(1), rtol=0, atol=1e-4)


def test_the_error_is_the_plain_total_variation_and_divergence():
    logits = logits_of(30, 12, dtype=torch.float64)
    found = compact_error(logits, top_k=3, temperature=4.0)
    parts = encode(logits, top_k=3)
    variations, divergences = [], []
    for row in range(30):
        p = (logits[row] / 4).softmax(0).tolist()
        q = [value ** (1 / 4) for value in decoded_by_hand(parts, row, 12)]
        q = [value / sum(q) for value in q]
        variations.append(sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2)
        divergences.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    assert found["mean_total_variation"] == pytest.approx(sum(variations) / 30, rel=1e-4)
    assert found["largest_total_variation"] == pytest.approx(max(variations), rel=1e-4)
    assert found["mean_kl"] == pytest.approx(sum(divergences) / 30, rel=1e-3)
    assert (found["bytes_per_label"], found["bytes_per_label_float16"]) == (7, 24)


def test_the_error_falls_with_the_classes_kept():
    logits = logits_of(300, 100, scale=2.0)
    by_size = [compact_error(logits, top_k=k)["mean_total_variation"] for k in (1, 5, 20, 100)]
    assert by_size == sorted(by_size, reverse=True)


@pytest.mark.parametrize(
    ("num_classes", "top_k", "expected"),
    [(10, None, 20), (10, 5, 11), (100, 10, 21), (1000, 10, 31), (1000, None, 2000)],
)
def test_bytes_of_a_label(num_classes, top_k, expected):
    assert bytes_per_label(num_classes=num_classes, top_k=top_k) == expected


@pytest.mark.parametrize(
    ("top_k", "num_classes", "error", "message"),
    [
        (0, 10, ValueError, "`top_k` must be an integer >= 1 and <= 10; got 0"),
        (11, 10, ValueError, "`top_k` must be .* <= 10; got 11"),
        (2.0, 10, TypeError, "`top_k` must be an integer .*; got 2.0"),
        (2, 65537, ValueError, "`top_k` must be None for more than 65536 classes.*; got 65537 classes"),
    ],
)
def test_a_number_of_classes_out_of_range_is_refused(top_k, num_classes, error, message):
    with pytest.raises(error, match=message):
        checked_top_k(top_k, num_classes)


@pytest.mark.parametrize(
    ("logits", "settings", "message"),
    [
        (torch.zeros(3, 4, dtype=torch.int64), {}, r"`logits` must be floating with shape \(B, C\).*got torch.int64"),
        (torch.zeros(4), {}, r"`logits` must be floating .*\(4,\)"),
        (torch.zeros(0, 4), {}, "B >= 1"),
        (torch.tensor([[0.0, math.nan]]), {}, "`logits` must be finite"),
        (torch.zeros(3, 4), {"top_k": 5}, "`top_k` must be"),
        (torch.zeros(3, 4), {"temperature": 0.0}, "`temperature` must be a finite number > 0; got 0"),
    ],
)
def test_an_error_of_nothing_cannot_be_measured(logits, settings, message):
    with pytest.raises(ValueError, match=message):
        compact_error(logits, **{"top_k": 2, **settings})


def test_the_pages_table_is_that_of_the_committed_measurement():
    root = Path(__file__).parents[2]
    spec = importlib.util.spec_from_file_location("benchmark", root / "docs" / "benchmarks" / "compact_labels.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    page = benchmark.PAGE.read_text()
    document = json.loads(benchmark.RESULT.read_text())
    assert benchmark.table(document) in page
    assert benchmark.filled(page, document) == page
    for row in document["rows"]:
        expected = bytes_per_label(num_classes=row["num_classes"], top_k=row["top_k"])
        assert {error["bytes_per_label"] for error in row["errors"]} == {expected}
    # One of its numbers, found again.
    found = compact_error(benchmark.calibrated(benchmark.made_up_logits(100), 1.0), top_k=10)
    recorded = next(row for row in document["rows"] if (row["num_classes"], row["top_k"]) == (100, 10))
    assert recorded["errors"][2]["tau"] == recorded["errors"][2]["temperature"] == 1.0
    assert found["mean_total_variation"] == pytest.approx(recorded["errors"][2]["mean_total_variation"], rel=1e-3)
