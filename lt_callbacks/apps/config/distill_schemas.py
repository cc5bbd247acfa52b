"""Names, types and defaults of the settings of `lt-distill`; ranges are checked by the objects built from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from lt_callbacks.apps.config.train_schemas import (
    DataConfig,
    ImbalanceConfig,
    ModelConfig,
    NoiseConfig,
    ObjectiveConfig,
    OptimisationConfig,
    TrainerConfig,
)

# Hydra evaluates these annotations, and its parser does not know `X | None` on Python 3.10.
# ruff: noqa: UP007, UP045


@dataclass
class DistillerConfig:
    """Which images are made.

    Attributes:
        name: A name in `lt_callbacks.dataset_distillation.DISTILLERS`.
        images_per_class: Of the distilled set.
        settings: Of that distiller; what is left out keeps its default.
    """

    name: str = "edc"
    images_per_class: int = 10
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class ViewsConfig:
    """The views that are labelled and learned from, see `lt_callbacks.distilled_set.ViewSettings`.

    Attributes:
        num_views: Labelled views of every image; a student's passes go through them again and again.
        crop: ``none``, ``padded`` or ``resized``.
        crop_padding: Pixels; read with ``padded``.
        crop_area: Shares of the area; read with ``resized``.
        flip: Whether images are mirrored; null: where the data set allows it.
        mix: ``none``, ``cutmix`` or ``mixup``.
        mix_alpha: Of the Beta distribution of the mixing share.
    """

    num_views: int = 200
    crop: str = "resized"
    crop_padding: int = 4
    crop_area: list[float] = field(default_factory=lambda: [0.08, 1.0])
    flip: Optional[bool] = None
    mix: str = "cutmix"
    mix_alpha: float = 1.0


@dataclass
class AdsaConfig:
    """How tau is found, see `lt_callbacks.adsa.TauEstimator`.

    Attributes:
        fit_on: ``plain``, ``crops``, ``mixed`` or ``strong``: which views of the distilled images.
        num_fit_views: Views of every image, where they are not plain.
        shrink_to: A tau to be drawn to, such as 1; null: none.
    """

    fit_on: str = "strong"
    num_fit_views: int = 8
    shrink_to: Optional[float] = None


@dataclass
class StudentConfig:
    """How students are trained, see `lt_callbacks.dataset_distillation.StudentLoss`.

    Attributes:
        loss: ``kl`` or ``mse``, of the rows with soft labels.
        temperature: Of ``kl``.
        hard_weight: Weight of the cross-entropy with intended classes beside soft labels.
        num_passes: Over the distilled set.
        batch_size: Samples a step.
        ema_decay: Of a moving average of the weights; 0: none.
        optimizer: See `lt_callbacks.methods.Optimisation`.
        learning_rate: Peak.
        weight_decay: Of the optimiser.
        schedule: Of the learning rate, see `lt_callbacks.methods.Optimisation`.
    """

    loss: str = "kl"
    temperature: float = 4.0
    hard_weight: float = 0.0
    num_passes: int = 400
    batch_size: int = 50
    ema_decay: float = 0.0
    optimizer: str = "adamw"
    learning_rate: float = 0.001
    weight_decay: float = 0.01
    schedule: str = "cosine"


@dataclass
class DistillConfig:
    """Everything `lt-distill` does.

    Attributes:
        data: The images.
        imbalance: Which of them stay.
        noise: Which of their labels become wrong.
        model: The students' network.
        networks: Names of the networks that are trained on the data: images are made with all of them, and the mean
            of their logits is the label. ``auto`` as in ``model.name``.
        objective: What these networks minimise.
        optimisation: Their optimiser and schedule.
        distiller: The images.
        views: Their augmented views.
        adsa: The calibration of their labels.
        student: The networks trained on them.
        trainer: Of the networks in ``networks``; device and precision are the students' too.
        methods: Rows of the table, names in `lt_callbacks.apps.distill.rows.RECIPES`.
        oracle_taus: Fixed taus of the row ``oracle``, which is scored on the test set and chooses nothing else.
        score_on: ``test``, or ``removed``: the training images that the imbalance took away, for choosing settings
            without a look at the test set. Their accuracy is the mean over classes that have any.
        seed: First training seed.
        num_seeds: Seeds ``seed``, ``seed + 1``, ...
        corruption_seed: Of imbalance and noise; null: the training seed.
        manifest: A manifest's file, which replaces ``imbalance``, ``noise`` and their seed.
        store: Folder of trained networks and distilled sets, shared by all runs.
        output: Folder of the run's files.
        results: JSON document to start or continue; null: ``metrics.json`` of the run.
        setting: Name of this run's setting in a document that holds several.
        threads: Of torch on the CPU; null: torch's own choice.
    """

    data: DataConfig = field(default_factory=DataConfig)
    imbalance: ImbalanceConfig = field(default_factory=ImbalanceConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    networks: list[str] = field(default_factory=lambda: ["auto"])
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    distiller: DistillerConfig = field(default_factory=DistillerConfig)
    views: ViewsConfig = field(default_factory=ViewsConfig)
    adsa: AdsaConfig = field(default_factory=AdsaConfig)
    student: StudentConfig = field(default_factory=StudentConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    methods: list[str] = field(default_factory=lambda: ["hard", "soft", "tau_1", "adsa", "oracle"])
    oracle_taus: list[float] = field(default_factory=lambda: [0.5, 1.0, 1.5, 2.0])
    score_on: str = "test"
    seed: int = 0
    num_seeds: int = 1
    corruption_seed: Optional[int] = None
    manifest: Optional[str] = None
    store: str = "~/.cache/lt_callbacks"
    output: str = "???"
    results: Optional[str] = None
    setting: str = ""
    threads: Optional[int] = None


#: Config groups of `lt-distill` alone -> their schemas.
DISTILL_GROUPS = {
    "distiller": DistillerConfig,
    "views": ViewsConfig,
    "adsa": AdsaConfig,
    "student": StudentConfig,
}
