"""Run by test_fifty_steps.py as `fifty_steps_script.py NUM_RANKS CASE...`: ranks under Lightning's DDP, then one process.

Prints how far both are apart after 50 steps whose batches are unequal over the ranks.
"""

import json
import os
import sys
import warnings

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.distributed as dist  # noqa: E402
from lightning.pytorch import Trainer  # noqa: E402
from torch import nn  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from lt_callbacks import DSink, DSinkCallback, ShotAccuracy  # noqa: E402
from lt_callbacks.adsa import TauEstimator  # noqa: E402
from lt_callbacks.corruption import Imbalance, Noise  # noqa: E402
from lt_callbacks.data import ImageSet, LongTailedDataModule, Source  # noqa: E402
from lt_callbacks.methods import Classifier, Optimisation  # noqa: E402
from lt_callbacks.models import CosineHead  # noqa: E402
from lt_callbacks.objectives import build_objective  # noqa: E402

NUM_STEPS, NUM_CLASSES, BATCH_SIZE = 50, 5, 4
NUM_TRAIN, NUM_VAL, NUM_TEST = 47, 13, 41

CASES = {
    "cross_entropy": {},
    "elr": {},
    "ldam_drw": {"drw_start": 0.5},
    "logit_adjustment": {},
    "cross_entropy+dsink": {},
    "elr+class_balanced": {},
    # What begins at an epoch: the weights of the classes, and D-SINK after its warm-up.
    "ldam_drw+thresholds": {"drw_start": 0.4},
}
WARMUP_EPOCHS = 3


def images_and_labels(num_images, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_images) % NUM_CLASSES
    images = torch.randint(0, 160, (num_images, 1, 4, 4), generator=generator)
    images[torch.arange(num_images), 0, :, labels % 4] += 20 + 60 * (labels[:, None] == 4)
    return images.to(torch.uint8), labels


def source():
    def part(num_images, seed):
        images, labels = images_and_labels(num_images, seed)
        return ImageSet(images=images, labels=labels.numpy())

    return Source(
        name="tiny",
        train=part(100, 0),
        test=part(NUM_TEST, 1),
        class_names=tuple("abcde"),
        mean=(0.4,),
        std=(0.25,),
        crop_padding=1,
        flip=True,
    )


def data(num_shares, sampling):
    """Long-tailed and noisy; batches of 4 on each of the ranks, or of as many as all ranks have on one."""
    made = LongTailedDataModule(
        source=source(),
        imbalance=Imbalance(factor=3),
        noise=Noise(kind="symmetric", ratio=0.2),
        validation_fraction=0.217,
        batch_size=BATCH_SIZE * num_shares,
        eval_batch_size=4,
        seed=3,
        sampling=sampling,
    )
    if (len(made.train_indices), len(made.val_indices)) != (NUM_TRAIN, NUM_VAL):
        raise RuntimeError(
            f"expected {NUM_TRAIN} and {NUM_VAL}, got {len(made.train_indices)}, {len(made.val_indices)}"
        )
    return made


def small_network(head):
    last = CosineHead(16, NUM_CLASSES) if head == "cosine" else nn.Linear(16, NUM_CLASSES)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Tanh(), last)


class Tested(Classifier):
    """A classifier whose test also fits tau, and whose batches are written down."""

    def prepare_metrics(self, made):
        self.shots = ShotAccuracy(class_counts=made.true_class_counts)
        self.tau = TauEstimator(np.maximum(made.class_counts, 1))
        self.sizes, self.logged, self.begun = [], [], []

    def on_train_epoch_end(self):
        self.logged.append({key: float(value) for key, value in self.trainer.callback_metrics.items()})

    def training_step(self, batch, batch_idx):
        self.sizes.append(len(batch[0]))
        return super().training_step(batch, batch_idx)

    def on_train_batch_end(self, outputs, batch, batch_idx):
        capture = getattr(self, "_dsink_capture", None)
        alpha = None if capture is None else capture.dsink.last_step.alpha
        self.begun.append([self.current_epoch, self.objective.weights(batch[1]) is not None, alpha])

    def test_step(self, batch, batch_idx):
        images, label, index = batch
        logits = self(images)
        self.shots.update(logits, label, index)
        self.tau.update(logits, label, index=index)

    def on_test_epoch_end(self):
        self.found = {"shots": self.shots.compute(), "tau": self.tau.compute().tau}


def run(case, num_ranks, *, is_parallel):
    name, _, extra = case.partition("+")
    torch.manual_seed(1)
    objective = build_objective(name, settings=CASES[case])
    module = Tested(
        network=small_network(objective.head),
        objective=objective,
        # Its logits are thirty times the cosines: rounding grows from step to step at a higher rate.
        optimisation=Optimisation(learning_rate=0.01 if objective.head == "cosine" else 0.1),
    )
    callbacks = []
    if extra in ("dsink", "thresholds"):
        warmup_epochs = WARMUP_EPOCHS if extra == "thresholds" else 0
        teachers = {"noise_teacher": small_network("linear"), "imbalance_teacher": small_network("linear")}
        callbacks.append(
            DSinkCallback(DSink(**teachers, alpha=2.0, warmup_epochs=warmup_epochs, tolerance=0.0, max_iterations=200))
        )
    made = data(1 if is_parallel else num_ranks, "class_balanced" if extra == "class_balanced" else "shuffled")
    module.prepare_metrics(made)
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = Trainer(
        accelerator="cpu",
        devices=num_ranks if is_parallel else 1,
        strategy="ddp" if is_parallel else "auto",
        max_steps=NUM_STEPS,
        max_epochs=-(-NUM_STEPS // -(-NUM_TRAIN // (BATCH_SIZE * num_ranks))),
        callbacks=callbacks,
        num_sanity_val_steps=0,
        **dict.fromkeys(quiet, False),
    )
    trainer.fit(module, datamodule=made)
    # A plain loader: Lightning puts its padding sampler in, and some ranks see an image that another one has.
    images, labels = images_and_labels(NUM_TEST, 1)
    test = TensorDataset((images / 255 - 0.4) / 0.25, labels, torch.arange(NUM_TEST))
    trainer.test(module, dataloaders=DataLoader(test, batch_size=4), verbose=False)
    return {
        "steps": trainer.global_step,
        "sizes": module.sizes,
        "begun": module.begun,
        "weights": {key: value.clone() for key, value in module.network.state_dict().items()},
        "memory": objective.memory.clone() if name == "elr" else torch.zeros(1),
        "logged": module.logged,
        "shots": {key: float(value) for key, value in module.found["shots"].items()},
        "tau": module.found["tau"],
    }


def distance(first, second):
    return max(float((first[key] - second[key]).abs().max()) for key in second)


def main(num_ranks, cases):
    together = {case: run(case, num_ranks, is_parallel=True) for case in cases}
    rank = dist.get_rank()
    ranks = [None] * num_ranks
    dist.all_gather_object(ranks, together)
    dist.destroy_process_group()
    if rank:
        return
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    differences = {}
    for case, found in together.items():
        alone = run(case, num_ranks, is_parallel=False)
        start = small_network(build_objective(case.partition("+")[0]).head).state_dict()
        differences[case] = {
            "steps": [found["steps"], alone["steps"]],
            "uneven": sum(len(set(sizes)) > 1 for sizes in zip(*(own[case]["sizes"] for own in ranks), strict=True)),
            "begun": [*(own[case]["begun"] for own in ranks), alone["begun"]],
            "batches": [sum(sizes) for sizes in zip(*(own[case]["sizes"] for own in ranks), strict=True)]
            == alone["sizes"],
            "weights": max(distance(own[case]["weights"], alone["weights"]) for own in ranks),
            "moved": distance(start, alone["weights"]),
            "memory": max(float((own[case]["memory"] - alone["memory"]).abs().max()) for own in ranks),
            "remembered": int(alone["memory"].any(dim=-1).sum()),
            "logged": {
                key: max(
                    abs(epoch[key] - other[key]) for epoch, other in zip(found["logged"], alone["logged"], strict=True)
                )
                for key in found["logged"][0]
            },
            "shots": [found["shots"], alone["shots"]],
            "tau": [found["tau"], alone["tau"]],
        }
    print("RESULT", json.dumps(differences), flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]), sys.argv[2:] or list(CASES))
