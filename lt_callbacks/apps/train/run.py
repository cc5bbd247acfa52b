from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import torch

from lt_callbacks.apps.config.build import build_source, build_trainer
from lt_callbacks.apps.config.default_network import with_network_names
from lt_callbacks.apps.config.from_dict import config_from_dict
from lt_callbacks.apps.config.interrupts import told
from lt_callbacks.apps.config.job_record import JobRecord
from lt_callbacks.apps.config.train_schemas import TrainConfig
from lt_callbacks.apps.shared.claims import RowClaims, claimed_folder
from lt_callbacks.apps.shared.disk_failure import telling_disk_failures
from lt_callbacks.apps.shared.drivers import Drivers
from lt_callbacks.apps.shared.label_facts import label_facts_of_seed
from lt_callbacks.apps.shared.launcher_variables import forget_batch_script
from lt_callbacks.apps.shared.places import document_path, remove_leftovers_of_run
from lt_callbacks.apps.shared.preemption import Preempted, Preemption, requeue
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.apps.shared.provenance import command_line, result_settings
from lt_callbacks.apps.shared.quiet import be_quiet
from lt_callbacks.apps.shared.reused import about_finished, about_store
from lt_callbacks.apps.train.checks import check_parts, check_settings, check_train_places
from lt_callbacks.apps.train.model_folder import keep_model, settle_model
from lt_callbacks.apps.train.pages import show, table_rows, write_pages
from lt_callbacks.apps.train.phase import PhaseRunner, follow
from lt_callbacks.apps.train.rows import RECIPES, num_trainings, title
from lt_callbacks.apps.train.runners import InPhases, InProcess
from lt_callbacks.apps.train.shown_samples import keep_shown_samples
from lt_callbacks.apps.train.study import SeedStudy
from lt_callbacks.apps.train.sweep_objective import objective_value
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.data.readable_pictures import check_pictures
from lt_callbacks.evaluation import MethodResult, ResultFile

#: Modules that a run imports on use. A sweep's jobs are forked from a process that has imported them.
USED_LATER = ("filelock", "matplotlib.backends.backend_agg", "safetensors.torch", "sklearn.datasets")


def run(config: TrainConfig, *, command: str | None = None, is_job: bool = False) -> float | None:
    """Corrupt, train or reuse teachers, train the methods, compare; every result is on disk at once.

    Args:
        config: The settings; ``results`` names a JSON document to continue instead of the run folder's own.
        command: What the document says that was typed; None: this process's command line.
        is_job: Whether a sweep runs it, which waits for a job of the same folder that has not ended yet.

    Returns:
        What a sweeper may choose by, see `objective_value`.

    Raises:
        ValueError, TypeError, FileNotFoundError: A setting is unknown, out of range or names a file that is not there,
            before anything is trained. Another run is at work in the folder.
        Preempted: It was asked to stop, and can go on.
    """
    be_quiet()
    forget_batch_script()
    check_train_places(config)
    check_settings(config)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    source = build_source(config.data)
    config = with_network_names(config, source)
    datamodule = check_parts(config, source)
    drivers = Drivers(build_trainer(config))
    with Preemption().listening() as preemption, ExitStack() as stack:
        if not drivers.is_first:
            follow(drivers, preemption)
            return None
        stack.enter_context(telling_disk_failures(config))
        with drivers.leading():
            stack.enter_context(
                claimed_folder(Path(config.output), results=document_path(config), waits=is_job, preemption=preemption)
            )
            settings = result_settings(config, datamodule)
            document = ResultFile(document_path(config), command=command or command_line(), settings=settings)
            remove_leftovers_of_run(config)
            shown = _run_seeds(config, datamodule, document, drivers, preemption)
        return _compare(config, document, shown)


def _compare(config: TrainConfig, document: ResultFile, shown: SeedStudy) -> float | None:
    """Write and show what the rows are like; returns what a sweeper may choose by."""
    output = Path(config.output)
    results = _shown_results(config, document.results)
    rows = table_rows(config, results)
    model = settle_model(config, document.path)
    write_pages(output, config, results, rows, shown)
    show(config, rows, output, document.path)
    if model is not None:
        sys.stdout.write(f"{model}\n")
    return objective_value(config, results)


def run_job(job: JobRecord) -> float | None:
    """Run a job of a sweep from its record alone; returns what `run` does."""
    command = command_line(name=job.command, arguments=job.overrides)
    return run(config_from_dict(TrainConfig, job.config), command=command, is_job=True)


def _run_seeds(
    config: TrainConfig, first: LongTailedDataModule, document: ResultFile, drivers: Drivers, preemption: Preemption
) -> SeedStudy:
    """Run what each seed lacks; returns the study to show, that of the first seed.

    Args:
        config: The settings.
        first: The data of the first seed.
        document: Of the results.
        drivers: This process and those beside it.
        preemption: Whether to stop.
    """
    todo = {
        seed: [
            method
            for method in config.methods
            if not document.is_finished(method=title(method, config), seed=seed, setting=config.setting)
        ]
        for seed in range(config.seed, config.seed + config.num_seeds)
    }
    if any(todo.values()):
        # Here: not by every process of a job, and not where all is finished.
        check_pictures(first.source)
    shown: SeedStudy | None = None
    with RunProgress(total=sum(num_trainings(methods) for methods in todo.values())) as progress:
        progress.say_if_any(label_facts_of_seed(config, first))
        for line in about_finished(todo, methods=config.methods, document=document.path):
            progress.say(line)
        if any(RECIPES[method].needs for methods in todo.values() for method in methods):
            progress.say(about_store(config.store, what="trained teachers"))
        runner = _runner(config, drivers, progress, preemption)
        claims = RowClaims(document, setting=config.setting, progress=progress, preemption=preemption)
        try:
            # First what nobody else works on.
            for seed, waits in ((seed, waits) for waits in (False, True) for seed in todo):
                left = [method for method in todo[seed] if (seed, title(method, config)) not in claims.settled]
                if waits and not left:
                    continue
                study = SeedStudy(config, first.source, seed, progress, runner=runner)
                if seed != config.seed and not waits:
                    progress.say_if_any(label_facts_of_seed(config, study.datamodule))
                study.datamodule.manifest.save(Path(config.output) / f"manifest-seed{seed}.json")
                for method in config.methods:
                    if method not in left:
                        # Of a run that was killed when its result was safe.
                        study.finish(method, left=left)
                for position, method in enumerate(left, 1):
                    with claims.row(title(method, config), seed=seed, waits=waits) as is_open:
                        if is_open:
                            result = study.run(method)
                            # Before the row counts as finished: a run that goes on trains no finished row again.
                            keep_model(study, method, result)
                            keep_shown_samples(study, method)
                            claims.add(result)
                            study.finish(method, left=left[position:])
                shown = shown or study
            claims.close()
        except (KeyboardInterrupt, SystemExit) as stop:
            # Lightning turns the first into the second.
            why = f", {stop.why}" if isinstance(stop, Preempted) else ""
            progress.say(f"Stopped{why}. The same command with results={document.path} goes on where this one was.")
            if isinstance(stop, Preempted):
                requeue(preemption, say=progress.say)
            raise told(stop) from None
    return shown or study


def _runner(
    config: TrainConfig, drivers: Drivers, progress: RunProgress, preemption: Preemption
) -> InProcess | InPhases:
    if not drivers.is_parallel:
        return InProcess(config, progress, preemption)
    folder = Path(config.output) / "phases"
    return InPhases(config, PhaseRunner(drivers=drivers, folder=folder, progress=progress, preemption=preemption))


def _shown_results(config: TrainConfig, results: tuple[MethodResult, ...]) -> list[MethodResult]:
    """Those of this run's rows and seeds, in the order of ``methods``: a document may hold more."""
    titles = [title(method, config) for method in config.methods]
    seeds = range(config.seed, config.seed + config.num_seeds)
    asked = [
        result
        for result in results
        if result.seed in seeds and result.setting == config.setting and result.method in titles
    ]
    return sorted(asked, key=lambda result: titles.index(result.method))
