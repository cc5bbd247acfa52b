"""The package is a row of rooms, and imports go one way: read from the source, nothing is run."""

from __future__ import annotations

import ast
import functools
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
    "trained_model": ("models", "distilled_set"),
    "methods": ("objectives", "models", "metrics"),
    "teachers": ("methods", "data"),
    "distilled_set": (),
    # The figures of a relabelled set are part of its folder.
    "relabel": ("adsa", "distilled_set", "metrics", "evaluation"),
    "dataset_distillation": ("distilled_set", "teachers", "adsa", "dsink", "relabel"),
    "plugins": ("dsink", "adsa", "teachers", "relabel", "metrics", "evaluation"),
    "evaluation": ("metrics",),
    "apps": ("dataset_distillation", "plugins", "trained_model"),
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
        "predict": ("config",),
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
    "trained_model": {"torch", "torchvision", "PIL"},
    "methods": {"torch", "torchmetrics", "lightning"},
    "teachers": {"numpy", "torch", "lightning", "filelock"},
    "distilled_set": {"numpy", "torch", "safetensors"},
    "dataset_distillation": {"numpy", "torch", "lightning"},
    "relabel": {"numpy", "torch"},
    "plugins": {"numpy", "torch", "torchmetrics", "lightning"},
    # matplotlib: by `figures/readable_figure.py`, which is imported where a figure is drawn
    "evaluation": {"numpy", "matplotlib"},
    "apps": {"numpy", "torch", "lightning", "hydra", "omegaconf", "filelock"},
    "bench": {"numpy", "torch", "lightning"},
}

# Imported by all rooms; they import the standard library only, or what is named here.
LEAVES = {
    "_array_file": {"numpy"},
    "_errors": set(),
    "_arrays": {"numpy"},
    "_checks": set(),
    "_counter_random": {"torch"},
    "_covering_size": set(),
    "_files": set(),
    "_writable": set(),
    "_json_file": set(),
    "_ranks": {"torch"},
    "_tensors": {"torch"},
    "_lease": set(),
    "_processes": set(),
    "_folder_lock": {"filelock"},
    "_class_folders": set(),
    "_csv_table": {"numpy"},
    "_pictures": {"numpy", "PIL"},
    "_tensor_file": {"torch"},
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


@functools.cache
def imports_of(path):
    """Read once, whatever asks."""
    return Imports(path)


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
    imports = imports_of(path)
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
    imports = imports_of(path)
    modules = [
        module.split(".")[1:] for module in imports.at_once | imports.on_use if module.startswith("lt_callbacks.")
    ]
    within = {parts[1] if len(parts) > 1 else "__init__" for parts in modules if parts[0] == room}
    assert within & {*SUB_ROOMS[room], "__init__"} <= allowed_within(room, own)


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) in MAY_IMPORT], ids=name_of)
def test_a_room_loads_only_its_own_third_party_packages(path):
    import sys

    third_party = packages_in(imports_of(path).at_once) - sys.stdlib_module_names
    assert third_party <= AT_ONCE[room_of(path)]
    assert not third_party & (ON_USE - AT_ONCE[room_of(path)])


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) != "apps"], ids=name_of)
def test_only_the_commands_know_hydra(path):
    imports = imports_of(path)
    assert not packages_in(imports.at_once | imports.on_use) & {"hydra", "omegaconf"}


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_the_leaves_need_nothing(name):
    import sys

    imports = imports_of(PACKAGE / f"{name}.py")
    assert packages_in(imports.at_once | imports.on_use) <= sys.stdlib_module_names | LEAVES[name]
    # But what other leaves share: the errors that they raise, checks with their messages, files, and who lives.
    lowest = {"_errors": set(), "_processes": set(), "_checks": {"_errors"}, "_files": {"_errors", "_processes"}}
    below = lowest.get(name, set(lowest))
    assert rooms_in(imports.at_once | imports.on_use) <= below - {name}


def test_the_package_itself_loads_no_room():
    assert not rooms_in(imports_of(PACKAGE / "__init__.py").at_once)


def test_the_reader_sees_what_it_is_meant_to(tmp_path):
    # The tests above pass on a reader that finds nothing.
    everything = [imports_of(path) for path in FILES]
    assert {"torch", "numpy", "hydra", "lightning"} <= packages_in(
        set().union(*(found.at_once for found in everything))
    )
    assert {"matplotlib", "sklearn", "scipy"} <= packages_in(set().union(*(found.on_use for found in everything)))
    assert "transport" in rooms_in(imports_of(PACKAGE / "dsink" / "step.py").at_once)
