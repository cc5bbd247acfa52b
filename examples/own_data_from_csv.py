"""Your own images from a CSV file with the columns `path,label`: already long-tailed and noisy, nothing is added.

Run: python examples/own_data_from_csv.py
"""

import csv
import tempfile
from pathlib import Path

import lightning as L
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from lt_callbacks import DSink, DSinkCallback, train_teachers
from lt_callbacks.data import LongTailedDataModule, csv_file
from lt_callbacks.methods import Classifier, Optimisation
from lt_callbacks.models import build_model


def write_images(folder: Path, per_class: int = 40) -> Path:
    """PNG files and a CSV file, as a stand-in for yours."""
    images, label = load_digits(return_X_y=True)
    rows = []
    for position in np.concatenate([np.flatnonzero(label == c)[: per_class // (c + 1) + 4] for c in range(10)]):
        name = f"{position}.png"
        Image.fromarray((images[position].reshape(8, 8) * 15.9).astype("uint8")).save(folder / name)
        rows.append((name, f"digit {label[position]}"))
    with (folder / "train.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label"), *rows])
    return folder / "train.csv"


def network() -> Classifier:
    """A network that suits the images; any LightningModule does."""
    return Classifier(
        network=build_model("small_cnn", num_classes=10, in_channels=3),
        optimisation=Optimisation(optimizer="adamw", learning_rate=2e-3, weight_decay=0.0),
    )


def main(max_epochs: int = 5) -> int:
    with tempfile.TemporaryDirectory() as folder:
        source = csv_file(train_csv=write_images(Path(folder)), image_size=8)
        data = LongTailedDataModule(source=source, batch_size=64, num_workers=0, validation_fraction=0.1)
        print(f"{data.num_samples} samples, given labels by class: {data.class_counts.tolist()}")
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        f_L, f_N = train_teachers(network, data, trainer={"max_epochs": max_epochs, **quiet})
        trainer = L.Trainer(
            max_epochs=max_epochs,
            callbacks=[DSinkCallback(DSink(noise_teacher=f_N, imbalance_teacher=f_L))],
            enable_model_summary=False,
            **quiet,
        )
        trainer.fit(network(), data)
        print(f"accuracy on the held-out given labels: {100 * float(trainer.callback_metrics['val/accuracy']):.1f} %")
        return data.num_samples


if __name__ == "__main__":
    main()
