"""Everything that can be wrong with the settings of `lt-distill`, found before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities.seed import isolate_rng

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.adsa import TauEstimator
from lt_callbacks.apps.config.build import build_classifier, build_datamodule, build_trainer
from lt_callbacks.apps.config.checks import check_methods, check_run, check_test_set
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.errors import named
from lt_callbacks.apps.distill.build import build_student, chosen_distiller, student_loss, view_settings
from lt_callbacks.apps.distill.relabelled_set import RELABELLED
from lt_callbacks.apps.distill.removed_images import removed_images
from lt_callbacks.apps.distill.rows import RECIPES
from lt_callbacks.apps.distill.squeeze import NUM_ROLES
from lt_callbacks.apps.shared.places import check_output, check_results_and_store
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.dataset_distillation import RealImages
from lt_callbacks.dataset_distillation.channel_statistics import ChannelStatistics
from lt_callbacks.relabel import RelabelledFolder
from lt_callbacks.relabel.fit import FITTED_ON


def check_distill_settings(config: DistillConfig) -> None:
    """Refuse what can be told from the settings alone."""
    check_run(config, num_roles=NUM_ROLES)
    for name in ("devices", "num_nodes"):
        if getattr(config.trainer, name) != 1:
            raise ArgumentValueError(
                f"trainer.{name}",
                rule="be 1, since lt-distill trains each network on one device",
                got=repr(getattr(config.trainer, name)),
                way_out="Run jobs side by side: -m seed=0,1,2 with launcher=joblib.",
            )
    check_methods(config.methods, RECIPES)
    integer("distiller.images_per_class", config.distiller.images_per_class, at_least=1)
    integer("views.num_views", config.views.num_views, at_least=1)
    one_of("score_on", config.score_on, ("test", "removed"))
    one_of("adsa.fit_on", config.adsa.fit_on, FITTED_ON)
    integer("adsa.num_fit_views", config.adsa.num_fit_views, at_least=1)
    one_of("student.loss", config.student.loss, ("kl", "mse"))
    integer("student.num_passes", config.student.num_passes, at_least=1)
    integer("student.batch_size", config.student.batch_size, at_least=1)
    for tau in config.oracle_taus:
        real("oracle_taus", tau)
    if any(RECIPES[method].is_oracle for method in config.methods) and not config.oracle_taus:
        raise ArgumentValueError(
            "oracle_taus", rule="hold at least one tau for the row `oracle`", got="[]", way_out="Give some."
        )
    if not 1 <= len(config.networks) < NUM_ROLES:
        raise ArgumentValueError(
            "networks",
            rule=f"name 1 to {NUM_ROLES - 1} networks",
            got=str(config.networks),
            way_out="Give networks=[small_cnn].",
        )


def check_distill_places(config: DistillConfig) -> None:
    """Refuse folders and files that could not be written to when what they are for has been made."""
    check_output(config)
    relabelled = RelabelledFolder(Path(config.output) / RELABELLED)
    if not relabelled.is_finished:
        relabelled.check()
    check_methods(config.methods, RECIPES)
    titles = [RECIPES[method].title for method in config.methods]
    check_results_and_store(config, titles=titles, store_folders=("teachers", "distilled"))


def check_distill_parts(config: DistillConfig, source: Source) -> LongTailedDataModule:
    """Build everything once that the run will need, and throw it away, so that the constructors check their ranges.

    Returns:
        The data of the first seed.
    """
    check_test_set(source)
    distiller = chosen_distiller(config.distiller)
    view_settings(config, source, seed=config.seed)
    build_trainer(config)
    datamodule = build_datamodule(config, source, seed=config.seed)
    RealImages.of(datamodule)
    if config.score_on == "removed":
        removed_images(datamodule)
    with named({"shrink_to": "adsa.shrink_to"}):
        TauEstimator(datamodule.class_counts, shrink_to=config.adsa.shrink_to)
    with isolate_rng():
        build_student(config, datamodule, loss=student_loss(config, is_hard=False))
        for name in config.networks:
            chosen: Any = replace(config, model=replace(config.model, name=name, width=None))
            with named({"model.name": "networks"}):
                network = build_classifier(chosen, datamodule, group="objective").network
            if distiller.name in _NEED_STATISTICS:
                ChannelStatistics(network)
    return datamodule


_NEED_STATISTICS = ("sre2l", "edc")
