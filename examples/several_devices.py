"""D-SINK on several devices, with what a cluster asks for: exact ranks, a guard against mixed-up jobs, exact resume.

    python examples/several_devices.py [EPOCHS]       # Lightning starts the second rank
    torchrun --nproc-per-node=2 examples/several_devices.py

Killed anywhere and started again, it goes on from runs/several_devices/last.ckpt and ends with the same weights.
"""

import sys
from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint

from lt_callbacks import DSink, DSinkCallback, ExactResume, RankAgreement, train_teachers
from lt_callbacks.corruption import Imbalance, Noise
from lt_callbacks.data import LongTailedDataModule, digits
from lt_callbacks.methods import Classifier
from lt_callbacks.models import build_model

SETTINGS = {"seed": 0, "alpha": 10.0, "batch_size": 64, "devices": 2}
FOLDER = Path("runs/several_devices")


def make_model():
    return Classifier(network=build_model("small_cnn", num_classes=10, in_channels=1))


def run(max_epochs):
    L.seed_everything(SETTINGS["seed"], verbose=False)
    # 64 samples on each of two ranks train like 128 on one; no sample is repeated to fill up a batch.
    data = LongTailedDataModule(
        source=digits(),
        imbalance=Imbalance(factor=20),
        noise=Noise(kind="symmetric", ratio=0.4),
        batch_size=SETTINGS["batch_size"],
    )
    # Every rank calls it: the first one trains the teachers, the others take them from the store.
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "max_epochs": max_epochs}
    imbalance_teacher, noise_teacher = train_teachers(make_model, data, trainer=quiet)
    dsink = DSink(noise_teacher=noise_teacher, imbalance_teacher=imbalance_teacher, alpha=SETTINGS["alpha"])
    trainer = L.Trainer(
        accelerator="cpu",
        devices=SETTINGS["devices"],
        strategy="ddp",
        max_epochs=max_epochs,
        deterministic=True,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            DSinkCallback(dsink),
            # Stops all ranks before the first step if one of them was started with other settings.
            RankAgreement({**SETTINGS, "max_epochs": max_epochs}),
            ExactResume(),
            ModelCheckpoint(dirpath=FOLDER, save_last=True, save_top_k=0),
        ],
    )
    model, last = make_model(), FOLDER / "last.ckpt"
    trainer.fit(model, data, ckpt_path=last if last.exists() else None)
    (tested,) = trainer.test(model, data, verbose=False)
    if trainer.is_global_zero:
        print(f"test accuracy: {100 * tested['test/accuracy']:.1f} % on {trainer.world_size} ranks")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
