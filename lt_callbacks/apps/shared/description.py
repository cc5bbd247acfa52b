from __future__ import annotations

from lt_callbacks.apps.config.build import num_ranks
from lt_callbacks.apps.config.default_network import network_name
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.teachers.description import TrainingDescription


def describe_training(
    config: TrainConfig | DistillConfig,
    datamodule: LongTailedDataModule,
    *,
    group: str,
    start_seed: int,
    max_epochs: int | None = None,
    learning_rate: float | None = None,
) -> TrainingDescription:
    """All that the weights of a command's network depend on, from the settings that it is built and trained with.

    Args:
        config: The settings; ``config.model`` is the network's.
        datamodule: What it is trained on.
        group: Config group that says what is minimised, as in `build_classifier`.
        start_seed: Where the random generators start.
        max_epochs: Instead of ``config.trainer``'s.
        learning_rate: Instead of ``config.optimisation``'s.
    """
    chosen = getattr(config, group)
    optimisation = dict(vars(config.optimisation))
    if learning_rate is not None:
        optimisation["learning_rate"] = learning_rate
    return TrainingDescription(
        data=datamodule.fingerprint,
        model=network_name(config.model.name, datamodule.image_shape),
        width=config.model.width,
        channels_last=config.model.channels_last,
        objective=chosen.name,
        objective_settings=dict(chosen.settings),
        optimisation={**optimisation, "milestones": list(optimisation["milestones"])},
        batch_size=config.data.batch_size,
        # Over all nodes: two of one device each train the network of one with two.
        num_ranks=num_ranks(config),
        start_seed=start_seed,
        data_seed=datamodule.seed,
        max_epochs=config.trainer.max_epochs if max_epochs is None else max_epochs,
        precision=config.trainer.precision,
        gradient_clip_val=config.trainer.gradient_clip_val,
    )
