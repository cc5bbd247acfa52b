"""Names, types and defaults of every setting; ranges are checked by the objects that are built from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional, Union

# Hydra evaluates these annotations, and its parser does not know `X | None` on Python 3.10.
# ruff: noqa: UP007, UP045


@dataclass
class DataConfig:
    """Which images, and how they are fed. What a source does not read must stay null.

    Attributes:
        name: A name in `lt_callbacks.data.SOURCES`.
        root: Folder of the images; for ``csv_file`` what relative paths start from, null: the folder of the file.
        path: The file of ``arrays``.
        train_csv: The file of ``csv_file``; a column ``split`` may say ``train`` or ``test``.
        test_csv: The test set's file, laid out like ``train_csv``.
        image_size: Height and width in pixels, for image files.
        test_fraction: Share of each class in the test set of ``digits``; of your own data without a test set, the share
            that is held out to be scored on, null: 0.2.
        labels_are_true: Whether the training labels are known to be right; null: those of your own data are not.
        crop_padding: Pixels that training crops of your own images move by; null: the default of the data set.
        flip: Whether training images of your own are mirrored; null: they are. False where that changes the meaning.
        batch_size: Training samples a step.
        eval_batch_size: Samples a step without gradients.
        validation_fraction: Share of the corrupted training set that is held out.
        sampling: ``shuffled`` or ``class_balanced``; see `lt_callbacks.data.LongTailedDataModule`.
        augment: Whether training images are cropped and mirrored at random.
        residence: ``auto``, ``device`` or ``workers``; see `lt_callbacks.data.LongTailedDataModule`.
        num_workers: Worker processes; read with residence ``workers`` only.
    """

    name: str = "digits"
    root: Optional[str] = None
    path: Optional[str] = None
    train_csv: Optional[str] = None
    test_csv: Optional[str] = None
    image_size: Optional[int] = None
    test_fraction: Optional[float] = None
    labels_are_true: Optional[bool] = None
    crop_padding: Optional[int] = None
    flip: Optional[bool] = None
    batch_size: int = 128
    eval_batch_size: int = 512
    validation_fraction: float = 0.1
    sampling: str = "shuffled"
    augment: bool = True
    residence: str = "auto"
    num_workers: int = 2


@dataclass
class ImbalanceConfig:
    """How many samples of each class stay in the training set; see `lt_callbacks.corruption.Imbalance`."""

    profile: str = "exponential"
    factor: float = 1.0
    class_order: Optional[list[int]] = None


@dataclass
class NoiseConfig:
    """Which training labels become wrong, and how; see `lt_callbacks.corruption.Noise`."""

    kind: str = "none"
    ratio: float = 0.0
    given_labels_file: Optional[str] = None
    given_labels_key: Optional[str] = None
    transition_file: Optional[str] = None


@dataclass
class ModelConfig:
    """The network, see `lt_callbacks.models.build_model`, and how it is run.

    Attributes:
        name: Of this package's networks, ``torchvision:NAME`` or ``timm:NAME``. ``auto``: ``small_cnn`` for images of
            up to 64 pixels, ``torchvision:resnet18`` for larger ones.
        channels_last: See `lt_callbacks.methods.Classifier`.
        compile: Whether ``torch.compile`` makes its forward and backward passes, and the teachers', while `lt-train`
            trains; needs a C++ compiler on the CPU.
    """

    name: str = "auto"
    width: Optional[int] = None
    channels_last: bool = False
    compile: bool = False


@dataclass
class ObjectiveConfig:
    """A name in `lt_callbacks.objectives.OBJECTIVES` and its settings; what is left out keeps its default."""

    name: str = "cross_entropy"
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class OptimisationConfig:
    """Optimiser and learning rates of a training; see `lt_callbacks.methods.Optimisation`."""

    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    warmup: float = 0.0
    milestones: list[float] = field(default_factory=lambda: [0.5, 0.75])
    step_factor: float = 10.0


@dataclass
class TeacherConfig:
    """A teacher to train, or a checkpoint of one; null settings are those of the target model.

    Attributes:
        name: A name in `lt_callbacks.objectives.OBJECTIVES`.
        settings: Of that objective.
        max_epochs: Epochs; null: as many as the target model's.
        learning_rate: Peak; null: the target model's.
        checkpoint: Weights trained elsewhere; then nothing is trained and the others stay unset.
    """

    name: str = "logit_adjustment"
    settings: dict[str, Any] = field(default_factory=dict)
    max_epochs: Optional[int] = None
    learning_rate: Optional[float] = None
    checkpoint: Optional[str] = None


@dataclass
class DSinkConfig:
    """What D-SINK adds to the base loss; see `lt_callbacks.DSink`."""

    alpha: float = 10.0
    warmup_epochs: int = 0
    student_weight: float = 0.5
    class_marginal: str = "batch"
    queue_batches: int = 0
    scope: str = "global"
    max_iterations: int = 100
    tolerance: float = 1e-3


@dataclass
class TrainerConfig:
    """The arguments of `lightning.Trainer` that a study changes.

    With several devices or nodes, `DataConfig.batch_size` is that of each rank.
    """

    max_epochs: int = 60
    accelerator: str = "auto"
    devices: Union[int, str] = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: str = "32-true"
    deterministic: bool = True
    gradient_clip_val: Optional[float] = None


@dataclass
class TrainConfig:
    """Everything `lt-train` does.

    Attributes:
        data: The images.
        imbalance: Which of them stay.
        noise: Which of their labels become wrong.
        model: The network of target model and teachers.
        objective: The target model's base loss.
        optimisation: Optimiser and schedule of target model and teachers.
        imbalance_teacher: The imbalance-robust teacher, f_L.
        noise_teacher: The noise-robust teacher, f_N.
        dsink: Of the D-SINK rows.
        teachers: ``live``: in a step the teachers see the batch's augmented views; ``cached``: their predictions of all
            samples are made once and looked up.
        cached_views: Augmented views of each sample whose mean probability is the cached prediction; 0: the image as
            it is.
        trainer: Of every training.
        callbacks: Name -> ``_target_`` and arguments of callbacks, which join the trainings with teachers (naive,
            D-SINK).
        logger: Name -> ``_target_`` and arguments of loggers, which log every training.
        methods: Rows of the table, names in `lt_callbacks.apps.train.rows.RECIPES`.
        seed: First training seed.
        num_seeds: Seeds ``seed``, ``seed + 1``, ...
        corruption_seed: Of imbalance, noise and the held-out share; null: the training seed.
        manifest: A manifest's file, which replaces ``imbalance``, ``noise`` and their seed.
        store: Folder of trained teachers, shared by all runs.
        output: Folder of the run's files.
        results: JSON document to start or continue; null: ``metrics.json`` of the run.
        setting: Name of this run's setting in a document that holds several.
        test_every_n_epochs: For the curves and the best epoch; nothing is chosen by it. 0: only the end.
        ckpt_path: ``last``: a training that was stopped, or killed, goes on from its last checkpoint; null: anew.
        checkpoint_every_seconds: At the end of an epoch, where so much time went by; 0: of each; null: never.
        checkpoint_every_n_steps: Also within epochs that are long.
        save_networks: Whether each trained row leaves ``networks/METHOD-seedN.safetensors``.
        model_row: Row of ``methods`` whose network of the first seed becomes ``model/``. null: D-SINK's if it is among
            them, otherwise the last one trained. ``none``: no ``model/``.
        threads: Of torch on the CPU; null: torch's own choice.
    """

    data: DataConfig = field(default_factory=DataConfig)
    imbalance: ImbalanceConfig = field(default_factory=ImbalanceConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    imbalance_teacher: TeacherConfig = field(default_factory=TeacherConfig)
    noise_teacher: TeacherConfig = field(default_factory=lambda: TeacherConfig(name="elr"))
    dsink: DSinkConfig = field(default_factory=DSinkConfig)
    teachers: str = "live"
    cached_views: int = 0
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    callbacks: dict[str, Any] = field(default_factory=dict)
    logger: dict[str, Any] = field(default_factory=dict)
    methods: list[str] = field(
        default_factory=lambda: [
            *("ce", "imbalance_teacher", "noise_teacher", "noise_teacher_matched"),
            *("naive", "dsink"),
        ]
    )
    seed: int = 0
    num_seeds: int = 1
    corruption_seed: Optional[int] = None
    manifest: Optional[str] = None
    store: str = "~/.cache/lt_callbacks/teachers"
    output: str = "???"
    results: Optional[str] = None
    setting: str = ""
    test_every_n_epochs: int = 0
    ckpt_path: Optional[str] = "last"
    checkpoint_every_seconds: Optional[float] = 60.0
    checkpoint_every_n_steps: Optional[int] = None
    save_networks: bool = False
    model_row: Optional[str] = None
    threads: Optional[int] = None


#: Config group -> its schema, which the YAML files of the group extend.
GROUPS = {
    "data": DataConfig,
    "imbalance": ImbalanceConfig,
    "noise": NoiseConfig,
    "model": ModelConfig,
    "objective": ObjectiveConfig,
    "optimisation": OptimisationConfig,
    "imbalance_teacher": TeacherConfig,
    "noise_teacher": TeacherConfig,
    "dsink": DSinkConfig,
    "trainer": TrainerConfig,
}
