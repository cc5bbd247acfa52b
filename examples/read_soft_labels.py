"""Stored soft labels in a loop of one's own: a view and its label by (sample, view), in any order.

Run: python examples/read_soft_labels.py
"""

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from lt_callbacks.distilled_set import DistilledSet, SoftLabels, Views, ViewSettings, write_soft_labels


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def train(model, images, label, num_steps):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(num_steps):
        batch = torch.randperm(len(images), generator=torch.Generator().manual_seed(step))[:64]
        loss = F.cross_entropy(model(images[batch]), label[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def make_labelled_set(folder: Path, images, label, *, num_views: int) -> nn.Module:
    """Ten images a class (a distiller would make them), labelled by a teacher that has seen all images."""
    chosen = torch.cat([(label == c).nonzero()[:10, 0] for c in range(10)])
    distilled = DistilledSet(
        images=images[chosen],
        intended_class=label[chosen],
        class_names=[str(c) for c in range(10)],
        mean=[0.305],
        std=[0.376],
        provenance={"method": "the first real images"},
    )
    distilled.save(folder)
    teacher = network()
    train(teacher, normalised(images, distilled), label, num_steps=300)
    settings = ViewSettings(crop="padded", crop_padding=1, mix="cutmix")
    labels = SoftLabels.create(folder / "soft_labels", distilled=distilled, views=settings, num_views=num_views)
    write_soft_labels(teacher, Views(distilled, settings), labels)
    return teacher


def train_student(folder: Path) -> nn.Module:
    """All that a reader of the folder needs: neither the teacher nor the training data."""
    distilled = DistilledSet.load(folder)
    labels = SoftLabels.open(folder / "soft_labels", distilled=distilled)
    views = Views(distilled, labels.views)
    student = network()
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    for view in range(labels.num_views):
        for samples in torch.randperm(len(distilled)).split(25):
            images = views.images(samples, view)
            soft_label = labels.logits(samples, view).softmax(dim=1)
            loss = F.cross_entropy(student(images), soft_label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return student


def normalised(images, distilled):
    return (images / 255 - distilled.mean[0]) / distilled.std[0]


def main(num_views: int = 100) -> float:
    torch.manual_seed(0)
    digits = load_digits()
    images = (torch.from_numpy(digits.images) * 255 / 16).round().to(torch.uint8).unsqueeze(1)
    label = torch.from_numpy(digits.target).long()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        teacher = make_labelled_set(folder, images[:1200], label[:1200], num_views=num_views)
        student = train_student(folder)
        test_images = normalised(images[1200:], DistilledSet.load(folder))
    for who, model in (("teacher, 1200 images", teacher), ("student, 100 images and their labels", student)):
        accuracy = float((model(test_images).argmax(dim=1) == label[1200:]).double().mean())
        print(f"{who}: {100 * accuracy:.1f} %")
    return accuracy


if __name__ == "__main__":
    main()
