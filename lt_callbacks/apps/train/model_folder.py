"""The network that a run of `lt-train` leaves for use: which one it is, and its folder ``model/``."""

from __future__ import annotations

from pathlib import Path

import lt_callbacks
from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentError
from lt_callbacks.apps.config.default_network import network_name
from lt_callbacks.apps.config.errors import named
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.train.rows import RECIPES
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.apps.train.training import row_training
from lt_callbacks.corruption import Manifest
from lt_callbacks.data.image_file import CENTER_RESIZE
from lt_callbacks.evaluation import MethodResult
from lt_callbacks.objectives import OBJECTIVES
from lt_callbacks.trained_model import ModelFacts, load_model, read_model_facts, save_model
from lt_callbacks.trained_model.folder import check_place

#: Of ``model_row``: the run leaves no model.
NO_MODEL = "none"

_PREFERRED = "dsink"


def model_row(config: TrainConfig) -> str | None:
    """The row whose network becomes ``model/``; chosen by the settings alone, so that no test set has a say in it."""
    if config.model_row is not None:
        return None if config.model_row == NO_MODEL else config.model_row
    if _PREFERRED in config.methods:
        return _PREFERRED
    with_network = [method for method in config.methods if _has_network(method)]
    trained = [method for method in with_network if RECIPES[method].is_trained]
    usable = trained or with_network
    return usable[-1] if usable else None


def check_model_row(config: TrainConfig) -> None:
    """Refuse a row that is not trained here or has no network, and a ``model/`` that is something else."""
    if config.model_row is not None:
        one_of("model_row", config.model_row, [*filter(_has_network, config.methods), NO_MODEL])
    if model_row(config) is not None:
        with named({"folder": "output"}):
            check_place(_place(config))


def keep_model(study: SeedStudy, method: str, result: MethodResult) -> None:
    """Write ``model/`` where the row that was just scored is the run's model.

    Args:
        study: Of the row's seed.
        method: The row.
        result: How it was scored.
    """
    config, datamodule, classifier = study.config, study.datamodule, study.classifier
    if method != model_row(config) or study.seed != config.seed or classifier is None:
        return
    source = datamodule.source
    height, width = datamodule.image_shape[1:]
    are_files = not hasattr(source.train.images, "shape")
    facts = ModelFacts(
        network=network_name(config.model.name, datamodule.image_shape),
        head=OBJECTIVES[getattr(config, _group(method)).name].head,
        width=config.model.width,
        channels_last=config.model.channels_last,
        class_names=datamodule.class_names,
        image_size=(height, width),
        # As `build_loader` has it: images in memory, and files that crops are moved over, are not enlarged.
        resize=CENTER_RESIZE if are_files and not source.crop_padding else 1.0,
        mean=source.mean,
        std=source.std,
        method=method,
        title=result.method,
        seed=study.seed,
        accuracy=result.accuracy,
        scored_on=source.scored_on,
        data=source.name,
        training=_identity(config, method, datamodule.manifest.sha256),
        package_version=lt_callbacks.__version__,
    )
    save_model(_place(config), classifier.network, facts=facts)


def settle_model(config: TrainConfig, results: Path) -> str | None:
    """Say where the model of a run is, all rows of which are finished.

    A run that goes on in another folder takes the model from beside the document that it continued.

    Args:
        config: The settings.
        results: The run's result document.

    Returns:
        A line for people; None where no model was asked for.
    """
    method = model_row(config)
    if method is None:
        return None
    place = _place(config)
    manifest = Manifest.load(Path(config.output) / f"manifest-seed{config.seed}.json")
    training = _identity(config, method, manifest.sha256)
    facts = _facts_of(place, training)
    if facts is None and _facts_of(results.parent / place.name, training) is not None:
        earlier = load_model(results.parent / place.name)
        save_model(place, earlier.network, facts=earlier.facts)
        facts = earlier.facts
    if facts is None:
        return f"No model here: another run, which finished its row ({method}, seed {config.seed}), has it."
    return f"Model ({facts.summary()}): {place}"


def _has_network(method: str) -> bool:
    return not RECIPES[method].matches_marginal


def _group(method: str) -> str:
    """Config group that says what the row's network minimised."""
    teacher = RECIPES[method].teacher
    return "objective" if teacher is None else f"{teacher}_teacher"


def _place(config: TrainConfig) -> Path:
    return Path(config.output) / "model"


def _facts_of(place: Path, training: str) -> ModelFacts | None:
    """Those of the model in a folder, if it came from this training."""
    try:
        facts = read_model_facts(place)
    except ArgumentError:
        return None
    return facts if facts.training == training else None


def _identity(config: TrainConfig, method: str, manifest_sha256: str) -> str:
    """Of settings, row, seed and corrupted labels."""
    return row_training(config, method, seed=config.seed, manifest_sha256=manifest_sha256).folder.name
