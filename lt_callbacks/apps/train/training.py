from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from lt_callbacks._files import canonical_json, sha256
from lt_callbacks.apps.config.file_contents import with_contents
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.train.rows import title

#: A network is seeded with ``seed * NUM_ROLES`` plus its role.
NUM_ROLES = 10

# Networks of one study start from different weights in each role, and from the same ones in the same role.
_ROLE_OF_GROUP = {"objective": 0, "imbalance_teacher": 1, "noise_teacher": 2}

# Settings that a training does not depend on: those of its surroundings, and the rows and seeds beside it.
_NOT_A_TRAININGS = (
    *("output", "store", "results", "setting", "logger", "threads", "methods", "seed", "num_seeds"),
    *("ckpt_path", "save_networks", "model_row", "checkpoint_every_seconds", "checkpoint_every_n_steps"),
)


@dataclass(frozen=True)
class Training:
    """What one fit trains; with the run's settings, all that it depends on.

    Attributes:
        name: How progress and logs call it.
        group: Config group that says what is minimised: ``"objective"``, ``"imbalance_teacher"``, ``"noise_teacher"``.
        seed: Of the study.
        method: Row of the table whose loss with two teachers is added; None: none.
        max_epochs: Its length.
        learning_rate: Instead of ``optimisation.learning_rate``.
        folder: For its checkpoint, until it is finished.
    """

    name: str
    group: str
    seed: int
    method: str | None
    max_epochs: int
    learning_rate: float | None
    folder: Path

    @property
    def start_seed(self) -> int:
        """Where the random generators start for its network and its training."""
        return start_seed(self.seed, self.group)


@dataclass(frozen=True)
class Trained:
    """What a fit leaves besides the weights.

    Attributes:
        seconds: Wall time, over all runs of a training that was stopped and went on.
        observed: The last values of its monitors.
        curves: Name -> one value an epoch, see `History`.
    """

    seconds: float
    observed: dict[str, float | None]
    curves: dict[str, list[float]]


def start_seed(seed: int, group: str) -> int:
    """Where the random generators start for the network of a config group in the study of ``seed``."""
    return seed * NUM_ROLES + _ROLE_OF_GROUP[group]


def row_training(config: TrainConfig, method: str, *, seed: int, manifest_sha256: str) -> Training:
    """The training of a row of the table, with a folder that no other training shares.

    Args:
        config: The settings.
        method: A row with a training of its own.
        seed: Of the study.
        manifest_sha256: Of the corrupted labels.
    """
    held = with_contents(asdict(config))
    settings = {name: value for name, value in held.items() if name not in _NOT_A_TRAININGS}
    if config.manifest is not None:
        # Its content counts, and not what it replaces.
        settings.update(manifest=manifest_sha256, imbalance=None, noise=None)
    # The settings too: a folder may be used again, with others.
    identity = sha256(canonical_json([settings, method, seed, manifest_sha256]))
    return Training(
        name=f"seed {seed}, {title(method, config)}",
        group="objective",
        seed=seed,
        method=method,
        max_epochs=config.trainer.max_epochs,
        learning_rate=None,
        folder=Path(config.output) / "unfinished" / f"{method}-seed{seed}-{identity[:12]}",
    )
