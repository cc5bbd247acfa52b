"""Bytes and error of soft labels in the compact form: writes docs/results/compact-labels.json and the page's table.

Run: python docs/benchmarks/compact_labels.py
"""

import json
import math
import re
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from lt_callbacks._files import write_json
from lt_callbacks.distilled_set import PLAIN_VIEW, DistilledSet, SoftLabels, Views, ViewSettings, compact_error
from lt_callbacks.evaluation.records.environment import hardware, versions

ROOT = Path(__file__).resolve().parents[2]
RESULT = ROOT / "docs" / "results" / "compact-labels.json"
PAGE = ROOT / "docs" / "distilled_set.md"
BLOCK = re.compile(r"(<!-- compact: [^>]* -->\n).*?(<!-- end -->)", re.DOTALL)

IMBALANCE_FACTOR = 100
NUM_LABELS = 2000
TAUS = (0.0, 1.0, 2.0)
TEMPERATURES = (1.0, 20.0)
TOP_K = {10: (3, 5, 10), 100: (5, 10, 20), 1000: (10, 20, 50)}


def calibrated(logits: Tensor, tau: float) -> Tensor:
    """ADSA's adjustment for classes of exponential sizes, from factor 100 to 1."""
    num_classes = logits.shape[1]
    log_prior = -math.log(IMBALANCE_FACTOR) * torch.arange(num_classes, dtype=torch.float64) / (num_classes - 1)
    return logits.double() - tau * (log_prior - log_prior.mean())


def made_up_logits(num_classes: int) -> Tensor:
    """Normal background of deviation 2; one class raised by 4 to 20, four others by 0 to 10."""
    generator = torch.Generator().manual_seed(num_classes)
    logits = 2 * torch.randn(NUM_LABELS, num_classes, generator=generator, dtype=torch.float64)
    raised = torch.rand(NUM_LABELS, num_classes, generator=generator).argsort(dim=1)[:, :5]
    amounts = torch.rand(NUM_LABELS, 5, generator=generator, dtype=torch.float64)
    amounts = torch.cat([4 + 16 * amounts[:, :1], 10 * amounts[:, 1:]], dim=1)
    return logits.scatter_add(1, raised, amounts)


def digits_logits() -> Tensor:
    """What a small network, trained on long-tailed digits, says of CutMix views of a hundred of them."""
    digits = load_digits()
    images = (torch.from_numpy(digits.images) * 255 / 16).round().to(torch.uint8).unsqueeze(1)
    label = torch.from_numpy(digits.target).long()
    counts = [int(170 * IMBALANCE_FACTOR ** (-c / 9)) for c in range(10)]
    kept = torch.cat([(label == c).nonzero()[: counts[c], 0] for c in range(10)])
    shown = torch.cat([(label == c).nonzero()[-10:, 0] for c in range(10)])
    distilled = DistilledSet(
        images=images[shown],
        intended_class=label[shown],
        class_names=[str(c) for c in range(10)],
        mean=[0.305],
        std=[0.376],
    )
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    inputs = (images[kept] / 255 - 0.305) / 0.376
    for _ in range(300):
        loss = F.cross_entropy(model(inputs), label[kept])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    views = Views(distilled, ViewSettings(crop="padded", crop_padding=1, mix="cutmix"))
    with torch.no_grad():
        return torch.cat([model(views.images(torch.arange(100), view)) for view in range(NUM_LABELS // 100)])


def reading_time(logits: Tensor, top_k: int | None) -> float:
    """Microseconds a label, for batches of 256 in random order from files that were read before."""
    num_classes = logits.shape[1]
    distilled = DistilledSet(
        images=torch.zeros(NUM_LABELS, 1, 1, 1, dtype=torch.uint8),
        intended_class=torch.arange(NUM_LABELS) % num_classes,
        class_names=[str(c) for c in range(num_classes)],
        mean=[0.5],
        std=[0.5],
    )
    with tempfile.TemporaryDirectory() as folder:
        labels = SoftLabels.create(folder, distilled=distilled, views=PLAIN_VIEW, num_views=1, top_k=top_k)
        labels.write(0, logits)
        batches = torch.randperm(NUM_LABELS, generator=torch.Generator().manual_seed(0)).split(256)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            for samples in batches:
                labels.logits(samples, 0)
            times.append((time.perf_counter() - start) / NUM_LABELS * 1e6)
    return round(min(times), 2)


def measured() -> dict:
    """The result document."""
    sources = {("digits", 10): digits_logits(), **{("made up", c): made_up_logits(c) for c in TOP_K}}
    rows = []
    for (name, num_classes), logits in sources.items():
        confidence = {str(tau): float(calibrated(logits, tau).softmax(1).amax(1).mean()) for tau in TAUS}
        float16_time = reading_time(logits, None)
        for top_k in TOP_K[num_classes]:
            errors = [
                {
                    "tau": tau,
                    "temperature": t,
                    **compact_error(calibrated(logits, tau), top_k=top_k, temperature=t),
                }
                for tau in TAUS
                for t in TEMPERATURES
            ]
            rows.append(
                {
                    "logits": name,
                    "num_classes": num_classes,
                    "top_k": top_k,
                    "mean_largest_probability": confidence,
                    "read_microseconds_per_label": reading_time(logits, top_k),
                    "read_microseconds_per_label_float16": float16_time,
                    "errors": errors,
                }
            )
    return {
        "format": "lt_callbacks.compact_labels",
        "format_version": 1,
        "command": "python docs/benchmarks/compact_labels.py",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "versions": versions(),
        "settings": {"num_labels": NUM_LABELS, "imbalance_factor": IMBALANCE_FACTOR},
        "rows": rows,
    }


def table(document: dict) -> str:
    """The page's table of a measured document."""
    lines = [
        "| logits | C | k | bytes, float16 | bytes, compact | TV, tau 0 | TV, tau 1 | TV, tau 2 | KL, tau 1 "
        "| TV, tau 1, T = 20 |",
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in document["rows"]:
        errors = {(error["tau"], error["temperature"]): error for error in row["errors"]}
        first = row["errors"][0]
        cells = [row["logits"], row["num_classes"], row["top_k"]]
        cells += [first["bytes_per_label_float16"], first["bytes_per_label"]]
        cells += [f"{errors[tau, 1.0]['mean_total_variation']:.4f}" for tau in TAUS]
        cells += [f"{errors[1.0, 1.0]['mean_kl']:.4f}", f"{errors[1.0, 20.0]['mean_total_variation']:.4f}"]
        lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def filled(page: str, document: dict) -> str:
    """``page`` with its table as ``document`` says."""
    return BLOCK.sub(lambda found: f"{found[1]}\n{table(document)}\n\n{found[2]}", page)


if __name__ == "__main__":
    torch.set_num_threads(1)
    write_json(RESULT, measured())
    PAGE.write_text(filled(PAGE.read_text(), json.loads(RESULT.read_text())))
