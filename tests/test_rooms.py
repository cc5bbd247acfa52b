"""The package is a row of rooms, and imports go one way: read from the source, nothing is run."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lt_callbacks"

# What each room may import, and with it all that those may.
MAY_IMPORT = {
    "transport": (),
    "dsink": ("transport",),
    "adsa": (),
    "corruption": (),
    "metrics": (),
    "models": (),
    "data": ("corruption",),
    "objectives": (),
    "methods": ("objectives", "models", "metrics"),
    "teachers": ("methods", "data"),
    "distilled_set": (),
    # The figures of a relabelled set are part of its folder.
    "relabel": ("adsa", "distilled_set", "metrics", "evaluation"),
    "dataset_distillation": ("distilled_set", "teachers", "adsa", "dsink", "relabel"),
    "plugins": ("dsink", "adsa", "teachers", "relabel", "metrics", "evaluation"),
    "evaluation": ("metrics",),
    "apps": ("dataset_distillation", "plugins"),
    "bench": ("apps",),
}

# Rooms within a room, likewise. What a room has beside its sub-rooms may be imported by all of these.
SUB_ROOMS = {
    "plugins": {"dsink": (), "adsa": ()},
    "evaluation": {
        "records": (),
        "comparison": ("records",),
        "figures": ("comparison",),
        "pages": ("figures",),
    },
    "apps": {
        "config": (),
        "shared": ("config",),
        "sweep": ("shared",),
        "train": ("sweep",),
        "distill": ("sweep",),
        "report": ("config",),
    },
    "data": {"sources": ()},
}

# Third-party packages that a room may import when it is imported itself. Others only inside a function, on use.
AT_ONCE = {
    "transport": {"numpy", "torch", "triton", "numba"},
    "dsink": {"torch"},
    "adsa": {"torch", "torchmetrics"},
    "corruption": {"numpy"},
    "metrics": {"torch", "torchmetrics"},
    "models": {"torch"},
    "data": {"numpy", "torch", "torchvision", "lightning", "PIL"},
    "objectives": {"torch"},
    "methods": {"torch", "torchmetrics", "lightning"},
    "teachers": {"numpy", "torch", "lightning", "filelock"},
    "distilled_set": {"numpy", "torch", "safetensors"},
    "dataset_distillation": {"numpy", "torch", "lightning"},
    "relabel": {"numpy", "torch"},
    "plugins": {"numpy", "torch", "lightning"},
    "evaluation": {"numpy"},
    "apps": {"numpy", "torch", "lightning", "hydra", "omegaconf", "filelock"},
    "bench": {"numpy", "torch", "lightning"},
}

# Imported by all rooms; they import the standard library only, or what is named here.
LEAVES = {
    "_errors": set(),
    "_checks": set(),
    "_counter_random": {"torch"},
    "_files": set(),
    "_ranks": {"torch"},
    "_lease": set(),
}

ON_USE = {"matplotlib", "sklearn", "scipy", "triton", "numba", "timm", "rich", "safetensors", "jinja2"}

FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def room_of(path):
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def allowed(room):
    """The room itself and everything that it may import, directly or through another room."""
    found = {room}
    for other in MAY_IMPORT[room]:
        found |= allowed(other)
    return found


class Imports(ast.NodeVisitor):
    """Modules that a file imports: when it is imported itself, and inside functions or for type checkers."""

    def __init__(self, path):
        self.at_once, self.on_use = set(), set()
        self._found = self.at_once
        self._package = ["lt_callbacks", *path.relative_to(PACKAGE).parts[:-1]]
        self.visit(ast.parse(path.read_text()))

    def visit_FunctionDef(self, node):
        self._visit_later(node)

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            self._visit_later(node)
        else:
            self.generic_visit(node)

    def visit_Import(self, node):
        self._found |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node):
        base = [] if node.level == 0 else self._package[: len(self._package) - node.level + 1]
        module = ".".join([*base, *([node.module] if node.module else [])])
        # `from lt_callbacks import X` names a room or a public name of the package.
        self._found |= {f"{module}.{alias.name}" for alias in node.names} if module == "lt_callbacks" else {module}

    def _visit_later(self, node):
        before, self._found = self._found, self.on_use
        self.generic_visit(node)
        self._found = before


def rooms_in(modules):
    return {module.split(".")[1] for module in modules if module.startswith("lt_callbacks.")}


def packages_in(modules):
    return {module.split(".")[0] for module in modules} - {"lt_callbacks"}


def test_every_room_is_in_the_table():
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms <= MAY_IMPORT.keys() == AT_ONCE.keys()
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", *LEAVES}


def test_the_row_of_rooms_has_no_circle():
    for room in MAY_IMPORT:
        assert all(room not in allowed(other) for other in MAY_IMPORT[room])


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in MAY_IMPORT], ids=name_of)
def test_a_room_imports_only_what_lies_below_it(path):
    imports = Imports(path)
    assert rooms_in(imports.at_once | imports.on_use) <= allowed(room_of(path)) | set(LEAVES)


def sub_room_of(parts):
    """(room, sub-room) of the parts of a path or module below the package; None where there is no sub-room."""
    return (parts[0], parts[1]) if len(parts) > 1 and parts[1] in SUB_ROOMS.get(parts[0], ()) else None


def allowed_within(room, sub_room):
    found = {sub_room}
    for other in SUB_ROOMS[room][sub_room]:
        found |= allowed_within(room, other)
    return found


def test_every_sub_room_is_in_the_table():
    found = {
        room.name: {path.name for path in room.iterdir() if path.is_dir() and any(path.glob("*.py"))}
        for room in PACKAGE.iterdir()
        if room.is_dir()
    }
    assert {room: subs for room, subs in found.items() if subs} == {room: set(SUB_ROOMS[room]) for room in SUB_ROOMS}


@pytest.mark.parametrize("path", [path for path in FILES if sub_room_of(path.relative_to(PACKAGE).parts)], ids=name_of)
def test_a_sub_room_imports_only_what_lies_below_it(path):
    room, own = sub_room_of(path.relative_to(PACKAGE).parts)
    imports = Imports(path)
    modules = [
        module.split(".")[1:] for module in imports.at_once | imports.on_use if module.startswith("lt_callbacks.")
    ]
    within = {parts[1] if len(parts) > 1 else "__init__" for parts in modules if parts[0] == room}
    assert within & {*SUB_ROOMS[room], "__init__"} <= allowed_within(room, own)


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in MAY_IMPORT], ids=name_of)
def test_a_room_loads_only_its_own_third_party_packages(path):
    import sys

    third_party = packages_in(Imports(path).at_once) - sys.stdlib_module_names
    assert third_party <= AT_ONCE[room_of(path)]
    assert not third_party & (ON_USE - AT_ONCE[room_of(path)])


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) != "apps"], ids=name_of)
def test_only_the_commands_know_hydra(path):
    imports = Imports(path)
    assert not packages_in(imports.at_once | imports.on_use) & {"hydra", "omegaconf"}


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_the_leaves_need_nothing(name):
    import sys

    imports = Imports(PACKAGE / f"{name}.py")
    assert packages_in(imports.at_once | imports.on_use) <= sys.stdlib_module_names | LEAVES[name]
    # But the errors, which the other leaves raise.
    assert rooms_in(imports.at_once | imports.on_use) <= {"_errors"} - {name}


def test_the_package_itself_loads_no_room():
    assert not rooms_in(Imports(PACKAGE / "__init__.py").at_once)


def test_the_reader_sees_what_it_is_meant_to(tmp_path):
    # The tests above pass on a reader that finds nothing.
    everything = [Imports(path) for path in FILES]
    assert {"torch", "numpy", "hydra", "lightning"} <= packages_in(
        set().union(*(found.at_once for found in everything))
    )
    assert {"matplotlib", "sklearn", "scipy"} <= packages_in(set().union(*(found.on_use for found in everything)))
    assert "transport" in rooms_in(Imports(PACKAGE / "dsink" / "step.py").at_once)


# Style that imports cannot show.


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
    "models.build_model": ["name"],
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
