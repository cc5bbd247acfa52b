"""Style that reading or importing the code shows: no assertions, arguments by name, nothing swallowed."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest
from test_rooms import FILES, MAY_IMPORT, PACKAGE, name_of


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_assert_guards_anything(path):
    lines = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
    assert not lines, "python -O drops assert statements: raise instead"


# What may be given by position: the values that a function is about, in the order in which one says them.
POSITIONAL = {
    "teachers.cache": ["teacher", "datamodule"],
    "transport.sinkhorn": ["log_kernel", "class_marginal"],
    "transport.SinkhornResult": ["plan", "log_class_scaling", "marginal_error", "iterations"],
    "dsink.proxy_labels": ["student_logits", "noise_log_probs", "class_marginal"],
    "dsink.proxy_label_loss": ["logits", "proxy_labels"],
    "dsink.ProxyLabels": [
        "labels",
        "loss_scale",
        "marginal_error",
        "iterations",
        "num_nonfinite",
        "is_nonfinite",
        "known",
    ],
    "corruption.build_manifest": ["labels"],
    "corruption.class_counts": ["n_max", "num_classes"],
    "corruption.corrupt_labels": ["labels", "transition"],
    "corruption.hashed_uniform": ["positions"],
    "corruption.longtail_indices": ["labels"],
    "corruption.transition_matrix": ["kind", "num_classes"],
    "metrics.class_groups": ["class_counts"],
    "evaluation.conclusion": ["rows"],
    "models.build_model": ["name"],
    "trained_model.load_model": ["folder"],
    "trained_model.predict_files": ["model", "paths"],
    "trained_model.read_model_facts": ["folder"],
    "trained_model.save_model": ["folder", "network"],
    "methods.ClassifierNetwork": ["classifier"],
    "models.CosineHead": ["in_features", "num_classes"],
    "data.BatchKey": ["epoch", "samples"],
    "data.EpochLoader": ["sampler"],
    "data.IndexedDataset": ["dataset"],
    "data.add_index": ["dataset"],
    "objectives.build_objective": ["name"],
    "teachers.CachedTeacher": ["log_probs"],
    "teachers.ModuleTeacher": ["module"],
    "teachers.TeacherStore": ["root"],
    "teachers.load_checkpoint": ["path", "module"],
    "teachers.train_teachers": ["module", "datamodule"],
    "adsa.TauEstimator": ["class_prior"],
    "adsa.calibrate": ["logits", "class_prior", "tau"],
    "adsa.fit_tau": ["logits", "intended_class", "class_prior"],
    "distilled_set.LiveLabels": ["model", "views"],
    "distilled_set.SoftLabels": ["folder"],
    "distilled_set.Views": ["distilled", "settings"],
    "distilled_set.compact_error": ["logits"],
    "distilled_set.from_image_folder": ["folder"],
    "distilled_set.to_image_folder": ["distilled", "folder"],
    "distilled_set.write_soft_labels": ["model", "views", "labels"],
    "dataset_distillation.MeanLogits": ["networks"],
    "dataset_distillation.StudentBatch": ["images", "soft_logits", "classes", "partner_classes", "share"],
    "dataset_distillation.build_distiller": ["name"],
    "dataset_distillation.distill_dataset": ["datamodule"],
    "dataset_distillation.recover_images": ["distiller", "datamodule", "networks"],
    "dataset_distillation.train_student": ["make", "batches"],
    "relabel.RelabelledFolder": ["folder"],
    "relabel.find_calibration": ["task", "source"],
    "relabel.network_source": ["network"],
    "relabel.relabel": ["task", "source", "folder"],
    "plugins.ADSACallback": ["distilled"],
    "plugins.DSinkCallback": ["dsink"],
    "plugins.RankAgreement": ["facts"],
    "data.hold_out_test": ["source"],
    "data.source_sha256": ["source"],
    "evaluation.ResultFile": ["path"],
    "evaluation.accuracy_lines_figure": ["comparison"],
    "evaluation.accuracy_maps_figure": ["comparison"],
    "evaluation.find_results": ["places"],
    "evaluation.gain_lines_figure": ["comparison"],
    "evaluation.gain_maps_figure": ["comparison"],
    "evaluation.gain_over": ["results"],
    "evaluation.pool_results": ["documents"],
    "evaluation.shot_bars_figure": ["comparison"],
    "evaluation.class_confidence_figure": ["before", "after"],
    "evaluation.class_counts_figure": ["given_counts", "true_counts"],
    "evaluation.csv_table": ["rows"],
    "evaluation.distilled_images_figure": ["images", "intended_class"],
    "evaluation.markdown_table": ["rows"],
    "evaluation.rich_table": ["rows"],
    "evaluation.table_note": ["rows"],
    "evaluation.mean": ["values"],
    "evaluation.sd": ["values"],
    "evaluation.paired_difference": ["values", "reference"],
    "evaluation.per_class_accuracy_figure": ["results"],
    "evaluation.read_result": ["path"],
    "evaluation.save_figure": ["figure", "path"],
    "evaluation.summarise": ["results"],
    "evaluation.tau_curve_figure": ["taus", "spread"],
    "evaluation.training_curves_figure": ["curves"],
    "evaluation.transition_figure": ["transition_matrix"],
    "evaluation.write_result": ["path"],
    "evaluation.write_run_report": ["folder"],
}

PUBLIC = [
    (f"{room}.{name}", value)
    for room in MAY_IMPORT
    if (PACKAGE / room / "__init__.py").is_file()
    for module in [importlib.import_module(f"lt_callbacks.{room}")]
    for name in getattr(module, "__all__", ())
    if callable(value := getattr(module, name))
]


@pytest.mark.parametrize(("name", "value"), PUBLIC, ids=[name for name, _ in PUBLIC])
def test_arguments_are_given_by_name_and_none_is_swallowed(name, value):
    parameters = inspect.signature(value).parameters.values()
    swallowing = [
        parameter.name
        for parameter in parameters
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    ]
    assert not swallowing
    by_position = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    assert by_position == POSITIONAL.get(name, [])


def test_the_table_of_positions_has_no_strangers():
    assert POSITIONAL.keys() <= {name for name, _ in PUBLIC}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_constructor_takes_what_it_does_not_name(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            assert node.args.kwarg is None, f"line {node.lineno}"
            assert node.args.vararg is None, f"line {node.lineno}"
