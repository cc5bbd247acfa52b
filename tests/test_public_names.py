"""The names and signatures that users rely on: a change here is a change of the promise, and of the documentation."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields

import pytest
import torch

import lt_callbacks
from lt_callbacks import adsa, corruption, distilled_set, dsink, teachers, transport
from lt_callbacks.apps.config.distill_schemas import DISTILL_GROUPS, AdsaConfig, DistillConfig
from lt_callbacks.apps.config.train_schemas import GROUPS, DSinkConfig, TrainConfig
from lt_callbacks.apps.distill.rows import RECIPES as DISTILL_RECIPES
from lt_callbacks.apps.train.rows import RECIPES

NAMES = [
    "ADSACallback",
    "DSink",
    "DSinkCallback",
    "DSinkMixin",
    "ExactResume",
    "ProxyLabelMonitor",
    "RankAgreement",
    "ShotAccuracy",
    "load_model",
    "train_teachers",
]

#: Marks an argument without a default.
REQUIRED = inspect.Parameter.empty

# Name -> what may be given by position, and the keyword-only arguments with their defaults.
SIGNATURES = {
    lt_callbacks.load_model: (["folder"], {"device": "cpu"}),
    teachers.cache: (
        ["teacher", "datamodule"],
        {
            "num_views": 0,
            "dtype": torch.float32,
            "trainer": None,
            "store": None,
            "fingerprint": None,
            "images_from": None,
            "index_from": None,
        },
    ),
    lt_callbacks.DSink: (
        [],
        {
            "noise_teacher": REQUIRED,
            "imbalance_teacher": REQUIRED,
            # Chosen on training-side evidence, see docs; the config has the same.
            "alpha": DSinkConfig().alpha,
            "warmup_epochs": 0,
            "student_weight": 0.5,
            "class_marginal": "batch",
            "queue_batches": 0,
            "scope": "global",
            "max_iterations": 100,
            "tolerance": 1e-3,
            "logits_from": None,
            "images_from": None,
            "index_from": None,
            "on_nonfinite": "raise",
        },
    ),
    transport.sinkhorn: (
        ["log_kernel", "class_marginal"],
        {
            "tolerance": 1e-3,
            "criterion": "total_variation",
            "max_iterations": 100,
            "accelerate": True,
            "process_group": None,
            "backend": "auto",
        },
    ),
    corruption.class_counts: (
        ["n_max", "num_classes"],
        {"imbalance_factor": REQUIRED, "profile": "exponential"},
    ),
    corruption.longtail_indices: (
        ["labels"],
        {"imbalance_factor": REQUIRED, "seed": REQUIRED, "profile": "exponential", "class_order": None},
    ),
    corruption.transition_matrix: (["kind", "num_classes"], {"ratio": REQUIRED, "class_prior": None}),
    corruption.corrupt_labels: (["labels", "transition"], {"seed": REQUIRED, "positions": None}),
    dsink.proxy_label_loss: (["logits", "proxy_labels"], {}),
    lt_callbacks.DSinkCallback: (["dsink"], {}),
    lt_callbacks.RankAgreement: (["facts"], {}),
    lt_callbacks.ExactResume: ([], {}),
    lt_callbacks.ADSACallback: (
        ["distilled"],
        {
            "output": REQUIRED,
            "class_prior": "datamodule",
            # As the command: see docs/adsa.md for what speaks for it.
            "fit_on": AdsaConfig().fit_on,
            "num_fit_views": AdsaConfig().num_fit_views,
            "views": None,
            "num_views": None,
            "target_prior": None,
            "shrink_to": None,
            "top_k": None,
            "batch_size": 256,
            "on_degenerate": "warn",
        },
    ),
    adsa.fit_tau: (
        ["logits", "intended_class", "class_prior"],
        {"weight": None, "shrink_to": None, "shrink_sd": 0.5, "lowest": -1.0, "highest": 4.0},
    ),
    adsa.TauEstimator: (["class_prior"], {"shrink_to": None, "shrink_sd": 0.5, "lowest": -1.0, "highest": 4.0}),
    adsa.calibrate: (["logits", "class_prior", "tau"], {"target_prior": None}),
    distilled_set.SoftLabels.create: (
        ["folder"],
        {"distilled": REQUIRED, "views": REQUIRED, "num_views": REQUIRED, "calibration": None, "top_k": None},
    ),
}

CONFIG_FIELDS = {
    "": "data imbalance noise model objective optimisation imbalance_teacher noise_teacher dsink teachers cached_views trainer callbacks logger "
    "methods seed num_seeds corruption_seed manifest store output results setting test_every_n_epochs "
    "ckpt_path checkpoint_every_seconds checkpoint_every_n_steps save_networks model_row threads",
    "data": "name root path train_csv test_csv image_size test_fraction labels_are_true crop_padding flip batch_size eval_batch_size validation_fraction "
    "sampling augment residence num_workers",
    "imbalance": "profile factor class_order",
    "noise": "kind ratio given_labels_file given_labels_key transition_file",
    "model": "name width channels_last compile",
    "objective": "name settings",
    "optimisation": "optimizer learning_rate momentum weight_decay schedule warmup milestones step_factor",
    "imbalance_teacher": "name settings max_epochs learning_rate checkpoint",
    "noise_teacher": "name settings max_epochs learning_rate checkpoint",
    "dsink": "alpha warmup_epochs student_weight class_marginal queue_batches scope max_iterations tolerance",
    "trainer": "max_epochs accelerator devices num_nodes strategy precision deterministic gradient_clip_val",
}

DISTILL_CONFIG_FIELDS = {
    "": "data imbalance noise model networks objective optimisation distiller views adsa student trainer methods "
    "oracle_taus score_on seed num_seeds corruption_seed manifest store output results setting threads",
    "distiller": "name images_per_class settings",
    "views": "num_views crop crop_padding crop_area flip mix mix_alpha",
    "adsa": "fit_on num_fit_views shrink_to",
    "student": "loss temperature hard_weight num_passes batch_size ema_decay optimizer learning_rate weight_decay "
    "schedule",
}

METHODS = (
    "ce imbalance_teacher noise_teacher naive dsink rows_only uniform_marginal own_marginal no_noise_teacher "
    "running_marginal noise_teacher_matched dsink_matched"
)


def test_the_package_gives_out_these_names_and_no_other():
    assert sorted(lt_callbacks.__all__) == NAMES
    for name in NAMES:
        assert getattr(lt_callbacks, name).__name__ == name
        assert name in dir(lt_callbacks)
    assert isinstance(lt_callbacks.__version__, str)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="^module 'lt_callbacks' has no attribute 'DSnik'$"):
        _ = lt_callbacks.DSnik


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda function: function.__name__)
def test_a_signature_is_as_documented(function):
    by_position, by_name = SIGNATURES[function]
    parameters = inspect.signature(function).parameters.values()
    assert [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == by_position
    assert all(p.default is REQUIRED for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
    assert {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} == by_name


def test_proxy_labels_begins_as_documented():
    parameters = list(inspect.signature(dsink.proxy_labels).parameters.values())
    assert [p.name for p in parameters[:3]] == ["student_logits", "noise_log_probs", "class_marginal"]
    assert parameters[3].name == "student_weight"
    assert (parameters[3].kind, parameters[3].default) == (inspect.Parameter.KEYWORD_ONLY, 0.5)


def test_a_sinkhorn_result_has_these_parts():
    names = ["plan", "log_class_scaling", "marginal_error", "iterations"]
    assert list(inspect.signature(transport.SinkhornResult).parameters) == names


def test_the_settings_of_the_command_are_these():
    found = {"": TrainConfig, **GROUPS}
    assert {group: " ".join(field.name for field in fields(schema)) for group, schema in found.items()} == CONFIG_FIELDS


def test_the_settings_of_the_distilling_command_are_these():
    found = {"": DistillConfig, **DISTILL_GROUPS}
    assert {g: " ".join(f.name for f in fields(schema)) for g, schema in found.items()} == DISTILL_CONFIG_FIELDS


def test_the_rows_of_the_table_are_these():
    assert (
        " ".join(DISTILL_RECIPES) == "networks hard soft tau_1 adsa adsa_plain adsa_crops adsa_mixed adsa_strong oracle"
    )
    assert " ".join(RECIPES) == METHODS


IMPORTING = """
import sys
import lightning
before, count = set(sys.modules), 0
def seen(frame, event, argument):
    global count
    count += event == "call"
sys.setprofile(seen)
import lt_callbacks
sys.setprofile(None)
print(*sorted(set(sys.modules) - before))
print(sorted(lt_callbacks.__all__) == sorted(set(dir(lt_callbacks)) & set(lt_callbacks.__all__)))
print(*sorted(set(sys.modules) - before))
print(count)
import torch, torchvision, torchmetrics
before = set(sys.modules)
from lt_callbacks import ADSACallback, DSink, DSinkCallback, DSinkMixin, ProxyLabelMonitor, ShotAccuracy, train_teachers
import lt_callbacks.evaluation, lt_callbacks.corruption
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
"""


@pytest.fixture(scope="module")
def importing():
    """What a fresh process says that imports the package after Lightning, and then its parts."""
    shown = subprocess.run([sys.executable, "-c", IMPORTING], capture_output=True, text=True, check=True).stdout
    return shown.splitlines()


def test_importing_the_package_loads_nothing_but_itself(importing):
    assert importing[:3] == ["lt_callbacks", "True", "lt_callbacks"]


@pytest.mark.parametrize(
    "heavy",
    ["matplotlib", "sklearn", "scipy", "hydra", "omegaconf", "triton", "numba", "rich", "safetensors", "jinja2"],
)
def test_using_the_plug_ins_loads_none_of_these(importing, heavy):
    # Asked after torch and Lightning, which load some of them themselves.
    loaded = importing[4].split()
    assert "lt_callbacks" in loaded
    assert heavy not in loaded


def test_importing_the_package_does_no_work(importing):
    """Calls of Python functions, most of them the import system's own: Lightning's import makes a thousand times more."""
    assert int(importing[3]) < 5000
