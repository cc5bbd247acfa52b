"""Relabel a distilled set of your own with a teacher of your own, in ten lines and without a Trainer.

Soft labels of a teacher that was trained on long-tailed data lean to the head classes. ADSA finds from the distilled
images alone how much to take back; `ADSACallback` does the same at the end of a Lightning fit.

Run: python examples/relabel_distilled_set.py
"""

import tempfile
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from lt_callbacks.adsa import calibrate, fit_tau
from lt_callbacks.corruption import longtail_indices
from lt_callbacks.distilled_set import (
    DistilledSet,
    LiveLabels,
    SoftLabels,
    Views,
    ViewSettings,
    write_soft_labels,
)

MEAN, STD = (0.3,), (0.37,)


def long_tailed_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Images and labels, 30 times as many zeros as nines: a stand-in for your training data."""
    images, label = load_digits(return_X_y=True)
    kept = longtail_indices(label, imbalance_factor=30, seed=0)
    return torch.tensor(images[kept] * 15.9).round().to(torch.uint8).reshape(-1, 1, 8, 8), torch.tensor(label[kept])


def write_your_set(folder: Path, images: torch.Tensor, label: torch.Tensor, per_class: int = 10) -> None:
    """Means of two images of a class: a stand-in for what your distiller makes."""
    draw = torch.Generator().manual_seed(0)
    found = [torch.nonzero(label == c)[:, 0] for c in range(10)]
    pairs = torch.cat([own[torch.randint(len(own), (per_class, 2), generator=draw)] for own in found])
    DistilledSet(
        images=images[pairs].float().mean(dim=1).round().to(torch.uint8),
        intended_class=torch.arange(10).repeat_interleave(per_class),
        class_names=[f"digit {c}" for c in range(10)],
        mean=MEAN,
        std=STD,
    ).save(folder)


def train_your_teacher(images: torch.Tensor, label: torch.Tensor, max_epochs: int) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images = (images / 255 - MEAN[0]) / STD[0]
    for _ in range(max_epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            F.cross_entropy(model(images[batch]), label[batch]).backward()
            optimizer.step()
    return model


def main(max_epochs: int = 8) -> float:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        images, label = long_tailed_digits()
        write_your_set(folder, images, label)
        teacher = train_your_teacher(images, label, max_epochs)
        class_counts = label.bincount()

        # The ten lines.
        distilled = DistilledSet.load(folder)
        # Random parts of the images: of whole ones a teacher may be too sure to show its bias.
        crops, everything = LiveLabels(teacher, Views(distilled, ViewSettings())), torch.arange(len(distilled))
        logits = torch.stack([crops.logits(everything, view) for view in range(8)])
        fit = fit_tau(logits, distilled.intended_class, class_counts)
        adjust = partial(calibrate, class_prior=class_counts, tau=fit.tau)
        settings = ViewSettings(crop="padded", crop_padding=1, mix="cutmix")
        facts = {"tau": fit.tau, "class_prior": class_counts.tolist()}
        labels = SoftLabels.create(
            folder / "soft_labels", distilled=distilled, views=settings, num_views=20, calibration=facts
        )
        write_soft_labels(teacher, Views(distilled, settings), labels, adjust=adjust)

        print(f"tau = {fit.tau:.2f}, 95 % interval {fit.interval}, {labels.num_views} views labelled")
        for name, confidence in (("before", fit.class_confidence_before), ("after", fit.class_confidence)):
            shown = " ".join(f"{100 * float(value):3.0f}" for value in confidence)
            print(f"mean confidence in the intended class {name:>6}, head to tail, in %: {shown}")
        return fit.tau


if __name__ == "__main__":
    main()
