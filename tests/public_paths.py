"""Every public function with an argument that is a path, and how to call it with one."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from typing import Any

import torch
from test_rooms import MAY_IMPORT, PACKAGE
from torch import nn

from lt_callbacks.corruption import Imbalance, Manifest, Noise
from lt_callbacks.data import LongTailedDataModule, arrays, csv_file, digits, image_folder
from lt_callbacks.data.image_set import ImageSet
from lt_callbacks.dataset_distillation import RandomReal, distill_dataset
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, ViewSettings, from_image_folder, to_image_folder
from lt_callbacks.distilled_set.label_facts import LabelFacts
from lt_callbacks.evaluation import (
    ResultFile,
    find_results,
    read_result,
    save_figure,
    write_result,
    write_run_report,
)
from lt_callbacks.plugins import ADSACallback
from lt_callbacks.relabel import RelabelledFolder
from lt_callbacks.teachers import TeacherStore, cache, load_checkpoint, train_teachers
from lt_callbacks.trained_model import load_model, predict_files, read_model_facts, save_model
from lt_callbacks.trained_model.trained_model import TrainedModel

_NEVER: Any = None


def _distilled() -> DistilledSet:
    return DistilledSet(
        images=torch.zeros(2, 1, 2, 2, dtype=torch.uint8),
        intended_class=torch.tensor([0, 1]),
        class_names=["a", "b"],
        mean=[0.5],
        std=[0.5],
    )


def _manifest() -> Manifest:
    return Manifest(dataset="a", num_classes=2, indices=[0, 1], true_labels=[0, 1], given_labels=[0, 1], settings={})


def _label_facts() -> LabelFacts:
    return LabelFacts(distilled_sha256="a" * 64, num_images=2, num_classes=2, views=ViewSettings(), num_views=1)


def _trained() -> TrainedModel:
    from small_models import facts_of, network_of

    return TrainedModel(network=network_of(facts_of()), facts=facts_of())


def _data() -> LongTailedDataModule:
    return LongTailedDataModule(source=digits(), imbalance=Imbalance(), noise=Noise())


def _sources() -> dict[str, Callable[[Any], object]]:
    from lt_callbacks import data

    names = ("cifar10", "cifar100", "mnist", "fashion_mnist")
    return {f"data.{name}(root)": _with_root(getattr(data, name)) for name in names}


def _with_root(make: Callable[..., object]) -> Callable[[Any], object]:
    return lambda path: make(root=path)


#: What is called with a path, by ROOM.FUNCTION(ARGUMENT).
CALLS: dict[str, Callable[[Any], object]] = {
    "corruption.Manifest.load(path)": Manifest.load,
    "corruption.Manifest.save(path)": lambda path: _manifest().save(path),
    "corruption.Noise(given_labels_file)": lambda path: Noise(kind="human", given_labels_file=path),
    "corruption.Noise(transition_file)": lambda path: Noise(kind="custom", transition_file=path),
    "data.LongTailedDataModule(manifest)": lambda path: LongTailedDataModule(source=digits(), manifest=path),
    "data.arrays(path)": lambda path: arrays(path=path),
    "data.csv_file(root)": lambda path: csv_file(train_csv="x.csv", root=path, image_size=8),
    "data.csv_file(test_csv)": lambda path: csv_file(train_csv="x.csv", test_csv=path, image_size=8),
    "data.csv_file(train_csv)": lambda path: csv_file(train_csv=path, image_size=8),
    "data.image_folder(root)": lambda path: image_folder(root=path, image_size=8),
    **_sources(),
    "dataset_distillation.distill_dataset(output)": lambda path: distill_dataset(
        _NEVER, squeeze=_NEVER, distiller=RandomReal(), images_per_class=1, student=_NEVER, trainer=_NEVER, output=path
    ),
    "distilled_set.DistilledSet.load(folder)": DistilledSet.load,
    "distilled_set.DistilledSet.save(folder)": lambda path: _distilled().save(path),
    "distilled_set.SoftLabels(folder)": lambda path: SoftLabels(path, facts=_label_facts()),
    "distilled_set.SoftLabels.create(folder)": lambda path: SoftLabels.create(
        path, distilled=_distilled(), views=ViewSettings(), num_views=1
    ),
    "distilled_set.SoftLabels.open(folder)": SoftLabels.open,
    "distilled_set.from_image_folder(folder)": from_image_folder,
    "distilled_set.to_image_folder(folder)": lambda path: to_image_folder(_distilled(), path),
    "evaluation.ResultFile(path)": lambda path: ResultFile(path, command="c", settings={}),
    "evaluation.read_result(path)": read_result,
    "evaluation.save_figure(path)": lambda path: save_figure(_NEVER, path),
    "evaluation.write_result(path)": lambda path: write_result(path, command="c", settings={}, results=[]),
    "evaluation.write_run_report(folder)": lambda path: write_run_report(
        path, title="t", rows=[], settings={}, figures={}
    ),
    "plugins.ADSACallback(distilled)": lambda path: ADSACallback(path, output="x"),
    "plugins.ADSACallback(output)": lambda path: ADSACallback("x", output=path),
    "relabel.RelabelledFolder(folder)": RelabelledFolder,
    "relabel.RelabelledFolder.check(distilled)": lambda path: RelabelledFolder("x").check(path),
    "teachers.TeacherStore(root)": TeacherStore,
    "teachers.cache(store)": lambda path: cache(nn.Identity(), _data(), store=path),
    "teachers.load_checkpoint(path)": lambda path: load_checkpoint(path, nn.Identity()),
    "teachers.train_teachers(store)": lambda path: train_teachers(_net, _data(), store=path),
    "trained_model.load_model(folder)": load_model,
    "trained_model.read_model_facts(folder)": read_model_facts,
    "trained_model.save_model(folder)": lambda path: save_model(path, _NEVER, facts=_NEVER),
}

#: What takes several paths: each is called with a list of one, and refuses one that is not in a list.
LISTS: dict[str, Callable[[Any], object]] = {
    "evaluation.find_results(places)": find_results,
    "trained_model.predict_files(paths)": lambda paths: list(predict_files(_trained(), paths)),
}

#: Where a picture or a manifest may stand, too: the message speaks of those.
OTHERS = {
    "data.ImageSet(images)": lambda path: ImageSet(images=[path], labels=torch.zeros(1, dtype=torch.int64).numpy()),
    "trained_model.TrainedModel.predict(pictures)": lambda path: _trained().predict(path),
}

#: None means something there: no test set, the file's own folder, nothing is kept, no input.
NONE_IS_FINE = {
    "corruption.Noise(given_labels_file)",
    "corruption.Noise(transition_file)",
    "data.LongTailedDataModule(manifest)",
    "data.csv_file(root)",
    "data.csv_file(test_csv)",
    "relabel.RelabelledFolder.check(distilled)",
    "teachers.cache(store)",
    "teachers.train_teachers(store)",
}


def _net() -> Any:
    from user_project import UserNet

    return UserNet()


def with_paths() -> set[str]:
    """ROOM.FUNCTION(ARGUMENT) of all public functions, classes and methods with an argument annotated as a path."""
    found = set()
    for room in MAY_IMPORT:
        if not (PACKAGE / room / "__init__.py").is_file():
            continue
        module = importlib.import_module(f"lt_callbacks.{room}")
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if not callable(value):
                continue
            found |= {f"{room}.{name}({argument})" for argument in _paths(value)}
            if inspect.isclass(value):
                for method, member in vars(value).items():
                    function = getattr(member, "__func__", member)
                    if not method.startswith("_") and inspect.isfunction(function):
                        found |= {f"{room}.{name}.{method}({argument})" for argument in _paths(function)}
    return found


def _paths(function: Any) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError):
        return []
    return [
        name
        for name, parameter in parameters.items()
        if re.search(r"PathLike|\bPath\b|\bPicture\b", str(parameter.annotation))
    ]
