from __future__ import annotations

from pathlib import Path

import torch

from lt_callbacks.apps.config.build import build_source
from lt_callbacks.apps.config.default_network import with_network_names
from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.from_dict import config_from_dict
from lt_callbacks.apps.config.interrupts import told
from lt_callbacks.apps.config.job_record import JobRecord
from lt_callbacks.apps.distill.checks import check_distill_parts, check_distill_places, check_distill_settings
from lt_callbacks.apps.distill.pages import show, table_rows, write_pages
from lt_callbacks.apps.distill.relabelled_set import RELABELLED, write_relabelled_set
from lt_callbacks.apps.distill.rows import RECIPES, num_students
from lt_callbacks.apps.distill.study import DistillStudy
from lt_callbacks.apps.shared.claims import RowClaims, claimed_folder
from lt_callbacks.apps.shared.disk_failure import telling_disk_failures
from lt_callbacks.apps.shared.label_facts import label_facts_of_seed
from lt_callbacks.apps.shared.launcher_variables import forget_batch_script
from lt_callbacks.apps.shared.places import document_path, remove_leftovers_of_run
from lt_callbacks.apps.shared.preemption import Preemption
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.shared.provenance import command_line, result_settings
from lt_callbacks.apps.shared.quiet import be_quiet
from lt_callbacks.apps.shared.reused import about_finished, about_store
from lt_callbacks.data import LongTailedDataModule, Source
from lt_callbacks.dataset_distillation import DISTILLERS
from lt_callbacks.evaluation import MethodResult, ResultFile

#: Modules that a run imports on use. A sweep's jobs are forked from a process that has imported them.
USED_LATER = ("filelock", "matplotlib.backends.backend_agg", "safetensors.torch", "sklearn.datasets")


def run(config: DistillConfig, *, command: str | None = None, is_job: bool = False) -> None:
    """Squeeze, recover, relabel, train students, compare; what is finished is on disk at once and reused.

    Args:
        config: The settings; ``results`` names a JSON document to continue instead of the run folder's own.
        command: What the document says that was typed; None: this process's command line.
        is_job: Whether a sweep runs it, which waits for a job of the same folder that has not ended yet.

    Raises:
        ValueError, TypeError, FileNotFoundError: A setting is unknown, out of range or names a file that is not there,
            before anything is trained. Another run is at work in the folder.
    """
    be_quiet()
    forget_batch_script()
    check_distill_places(config)
    check_distill_settings(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    source = build_source(config.data)
    config = with_network_names(config, source)
    datamodule = check_distill_parts(config, source)
    claim = claimed_folder(Path(config.output), results=document_path(config), waits=is_job, preemption=Preemption())
    with telling_disk_failures(config), claim:
        _distill(config, datamodule, command=command)


def _distill(config: DistillConfig, datamodule: LongTailedDataModule, *, command: str | None) -> None:
    """Run what the document lacks, and write and show what the rows are like."""
    remove_leftovers_of_run(config)
    output = Path(config.output)
    settings = result_settings(config, datamodule)
    document = ResultFile(document_path(config), command=command or command_line(), settings=settings)
    shown = _run_all(config, datamodule, document)
    results = _shown_results(config, document.results)
    rows = table_rows(config, results)
    write_pages(output, config, results, rows, shown)
    show(config, rows, output, document.path)


def run_job(job: JobRecord) -> None:
    """Run a job of a sweep from its record alone."""
    command = command_line(name=job.command, arguments=job.overrides)
    run(config_from_dict(DistillConfig, job.config), command=command, is_job=True)


def _run_all(config: DistillConfig, first: LongTailedDataModule, document: ResultFile) -> DistillStudy:
    """Run what the document lacks, and write the distilled set; returns the study to show.

    Args:
        config: The settings.
        first: The data of the first seed.
        document: Of the results.
    """
    todo = {
        seed: [
            method
            for method in config.methods
            if not document.is_finished(method=RECIPES[method].title, seed=seed, setting=config.setting)
        ]
        for seed in range(config.seed, config.seed + config.num_seeds)
    }
    # The first seed's distilled set is shown and kept whatever is finished.
    total = sum(_num_stages(todo[seed], config, is_shown=seed == config.seed) for seed in todo)
    with RunProgress(total=total, unit="stages") as progress:
        progress.say_if_any(label_facts_of_seed(config, first))
        for line in about_finished(todo, methods=config.methods, document=document.path):
            progress.say(line)
        progress.say(about_store(config.store, what="networks, distilled images and soft labels"))
        try:
            shown = _run_seeds(config, first.source, todo, document, progress)
            write_relabelled_set(Path(config.output) / RELABELLED, shown.stages)
        except (KeyboardInterrupt, SystemExit) as stop:
            # Lightning turns the first into the second.
            progress.say(f"Stopped. The same command with results={document.path} goes on where this one was.")
            raise told(stop) from None
    return shown


def _run_seeds(
    config: DistillConfig, source: Source, todo: dict[int, list[str]], document: ResultFile, progress: RunProgress
) -> DistillStudy:
    """Run what each seed lacks; returns the study to show, that of the first seed."""
    first: DistillStudy | None = None
    claims = RowClaims(document, setting=config.setting, progress=progress, preemption=Preemption())
    # First what nobody else works on.
    for seed, waits in ((seed, waits) for waits in (False, True) for seed in todo):
        left = [method for method in todo[seed] if (seed, RECIPES[method].title) not in claims.settled]
        if waits and not left:
            continue
        study = DistillStudy(config, source, seed, progress)
        if seed != config.seed and not waits:
            progress.say_if_any(label_facts_of_seed(config, study.datamodule))
        study.datamodule.manifest.save(Path(config.output) / f"manifest-seed{seed}.json")
        for method in left:
            with claims.row(RECIPES[method].title, seed=seed, waits=waits) as is_open:
                if is_open:
                    claims.add(study.run(method))
        study.forget_students()
        first = first or study
    claims.close()
    return first or study


def _num_stages(methods: list[str], config: DistillConfig, *, is_shown: bool) -> int:
    """Networks, images, labels and students that these rows of a seed need."""
    recipes = [RECIPES[method] for method in methods]
    needs_labels = is_shown or any(recipe.needs_labels for recipe in recipes)
    needs_set = needs_labels or any(recipe.needs_set for recipe in recipes)
    uses_networks = needs_set and DISTILLERS[config.distiller.name].needs_networks
    needs_networks = needs_labels or uses_networks or any(recipe.is_network for recipe in recipes)
    return needs_networks * len(config.networks) + needs_set + needs_labels + num_students(methods, config)


def _shown_results(config: DistillConfig, results: tuple[MethodResult, ...]) -> list[MethodResult]:
    """Those of this run's rows and seeds, in the order of ``methods``: a document may hold more."""
    titles = [RECIPES[method].title for method in config.methods]
    seeds = range(config.seed, config.seed + config.num_seeds)
    asked = [
        result
        for result in results
        if result.seed in seeds and result.setting == config.setting and result.method in titles
    ]
    return sorted(asked, key=lambda result: titles.index(result.method))
