"""Every kind of file that the package reads: how to write a small one, and what reading it gives."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from made_results import method_result
from PIL import Image
from safetensors.torch import save_file
from small_models import saved
from small_sets import small_set
from torch import Tensor, nn

from lt_callbacks._pictures import read_picture
from lt_callbacks.apps.config.job_record import DONE, JobRecord
from lt_callbacks.apps.report.material import collect
from lt_callbacks.apps.train.unfinished import WholeFile
from lt_callbacks.bench.document import BenchDocument, read_bench
from lt_callbacks.corruption import Manifest
from lt_callbacks.corruption.given_labels import load_given_labels
from lt_callbacks.corruption.transition_file import load_transition
from lt_callbacks.data import arrays, csv_file
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, ViewSettings, from_image_folder, to_image_folder
from lt_callbacks.evaluation import read_result, write_result
from lt_callbacks.teachers import TeacherStore, load_checkpoint
from lt_callbacks.teachers.prediction_file import read_predictions, write_predictions
from lt_callbacks.trained_model import load_model

#: What may happen to a file without anybody noticing, where it has no checksum: numbers become other numbers.
NUMBERS = frozenset({"flipped", "zeroed"})
#: Of text also its end, which may be that of a shorter number.
TEXT = NUMBERS | {"cut", "appended"}
#: A picture alone is whatever Pillow shows of it, and another picture is one too.
PIXELS = NUMBERS | {"swapped"}


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        name: For the table of the documentation.
        make: Writes one into an empty folder; its path.
        read: What the package makes of the file at a path, as something that can be compared.
        unnoticed: Damage that may change the content in silence: none where a checksum covers it.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    unnoticed: frozenset[str] = frozenset()


def plain(content: Any) -> Any:
    """Content with a digest in place of each tensor or array."""
    if isinstance(content, Tensor):
        content = content.detach().numpy()
    if isinstance(content, np.ndarray):
        return (str(content.dtype), content.shape, hashlib.sha256(np.ascontiguousarray(content).tobytes()).hexdigest())
    if isinstance(content, dict):
        return {name: plain(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    return content


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


def save_teacher(folder: Path, name: str, **options: Any) -> Path:
    state = network(1).state_dict()
    torch.save({"epoch": 1, "state_dict": state} if name.endswith("ckpt") else state, folder / name, **options)
    return folder / name


def save_safetensors(folder: Path) -> Path:
    save_file(network(1).state_dict(), folder / "teacher.safetensors")
    return folder / "teacher.safetensors"


def read_teacher(path: Path) -> Any:
    return plain(dict(load_checkpoint(path, network()).state_dict()))


def save_resume(folder: Path) -> Path:
    module = network(1)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    content = {"epoch": 1, "state_dict": module.state_dict(), "optimizer_states": [optimizer.state_dict()]}
    WholeFile().save_checkpoint(content, folder / "last.ckpt")
    return folder / "last.ckpt"


def stored(folder: Path, name: str) -> Path:
    store = TeacherStore(folder)
    settings, module = {"objective": "elr"}, network()
    store.get_or_train(module, settings=settings, fingerprint="f" * 64, train=fill)
    return folder / store.key(settings, "f" * 64) / name


def fill(module: nn.Module) -> None:
    module.load_state_dict(network(1).state_dict())


def read_stored(path: Path) -> Any:
    module = network()
    TeacherStore(path.parents[1]).get_or_train(module, settings={"objective": "elr"}, fingerprint="f" * 64, train=fill)
    return plain(dict(module.state_dict()))


FACTS = {"teacher": "a" * 64, "num_views": 0}


def save_predictions(folder: Path) -> Path:
    table = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)).log_softmax(1)
    write_predictions(folder / "p.safetensors", table, FACTS)
    return folder / "p.safetensors"


def save_distilled(folder: Path, name: str) -> Path:
    small_set().save(folder)
    return folder / name


def read_distilled(path: Path) -> Any:
    found = DistilledSet.load(path.parent)
    return found.sha256, found.provenance


def save_labels(folder: Path, name: str) -> Path:
    labels = SoftLabels.create(
        folder, distilled=small_set(), views=ViewSettings(seed=5), num_views=1, calibration={"tau": 1.5}
    )
    labels.write(0, torch.randn(12, 4, generator=torch.Generator().manual_seed(0)))
    return folder / name


def read_labels(path: Path) -> Any:
    labels = SoftLabels.open(path.parent)
    return labels.facts.to_dict(), plain(labels.logits(torch.arange(labels.num_images), 0))


def save_image_folder(folder: Path, name: str | None = None) -> Path:
    to_image_folder(small_set(), folder / "set")
    return folder / "set" / name if name else sorted((folder / "set").rglob("*.png"))[3]


def read_image_folder(path: Path) -> Any:
    found = from_image_folder(path.parent if path.suffix == ".json" else path.parents[1])
    return found.sha256, found.provenance


def read_trained(path: Path) -> Any:
    model = load_model(path.parent)
    return model.facts, plain(dict(model.network.state_dict()))


def save_result(folder: Path) -> Path:
    results = [method_result("CE", 0), method_result("D-SINK", 0, extra={"alpha": 10})]
    return write_result(folder / "metrics.json", command="lt-train", settings={"a": {"b": 1}}, results=results)


def read_metrics(path: Path) -> Any:
    return read_result(path)


def save_manifest(folder: Path) -> Path:
    labels = np.arange(30) % 3
    made = Manifest(
        dataset="toy",
        num_classes=3,
        indices=np.arange(30),
        true_labels=labels,
        given_labels=labels[::-1],
        settings={"seed": 0},
    )
    return made.save(folder / "manifest.json")


def read_manifest(path: Path) -> Any:
    found = Manifest.load(path)
    return found.sha256, found.dataset, found.settings


def save_job(folder: Path) -> Path:
    save_result(folder)
    JobRecord("lt-train", "a" * 64, DONE, ["seed=1"], {"seed": 1, "output": "x"}, "2025-01-01T00:00:00").write(folder)
    return folder / "job.json"


def read_jobs(path: Path) -> Any:
    return [asdict(job) for job in collect([path.parent], output=None, group_by=()).jobs.values()]


def save_bench(folder: Path) -> Path:
    BenchDocument(folder / "b.json", kind="transport", settings={"a": 1}, command="lt-bench").add("one", {"ms": 1.5})
    return folder / "b.json"


def read_benchmark(path: Path) -> Any:
    # Nothing is made of what the measuring process noted of its threads.
    return {name: value for name, value in read_bench(path).items() if name != "thread_pools"}


MATRIX = np.full((3, 3), 0.1) + 0.7 * np.eye(3)


def save_transition(folder: Path, name: str) -> Path:
    if name.endswith(".npy"):
        np.save(folder / name, MATRIX)
    else:
        np.savetxt(folder / name, MATRIX, delimiter=",", fmt="%.2f")
    return folder / name


def read_transition(path: Path) -> Any:
    return plain(load_transition(path, num_classes=3, num_samples=30))


LABELS = np.arange(30) % 3


def save_given(folder: Path, name: str) -> Path:
    path = folder / name
    {
        ".npy": lambda: np.save(path, LABELS),
        ".npz": lambda: np.savez(path, a=LABELS),
        ".pt": lambda: torch.save({"a": LABELS}, path),
        ".txt": lambda: path.write_text("\n".join(map(str, LABELS)) + "\n"),
    }[path.suffix]()
    return path


def read_given(path: Path) -> Any:
    key = "a" if path.suffix in (".npz", ".pt") else None
    return plain(load_given_labels(path, key=key, num_classes=3, clean_labels=LABELS))


def save_arrays(folder: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    names = np.array(["a", "b", "c"])
    np.savez_compressed(folder / "mine.npz", train_images=images, train_labels=np.arange(6) % 3, class_names=names)
    return folder / "mine.npz"


def read_arrays(path: Path) -> Any:
    source = arrays(path=path)
    return source.class_names, plain([source.train.images, source.train.labels])


def pixels(size: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8))


def save_table(folder: Path) -> Path:
    with (folder / "train.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label"])
        for number in range(4):
            pixels().save(folder / f"{number}.png")
            writer.writerow([f"{number}.png", "ab"[number % 2]])
    return folder / "train.csv"


def read_table(path: Path) -> Any:
    source = csv_file(train_csv=path, image_size=8)
    return source.class_names, [image.name for image in source.train.images], source.train.labels.tolist()


def save_picture(folder: Path, name: str) -> Path:
    pixels().save(folder / name)
    return folder / name


KINDS = [
    FileKind("teacher, `.pt` of torch.save", lambda f: save_teacher(f, "teacher.pt"), read_teacher),
    FileKind("teacher, `.ckpt` of Lightning", lambda f: save_teacher(f, "teacher.ckpt"), read_teacher),
    FileKind(
        "teacher, `.pt` of torch before 1.6",
        lambda f: save_teacher(f, "legacy.pt", _use_new_zipfile_serialization=False),
        read_teacher,
        NUMBERS,
    ),
    FileKind("teacher, `.safetensors`", save_safetensors, read_teacher, NUMBERS),
    FileKind("resume checkpoint, `last.ckpt`", save_resume, lambda path: plain(WholeFile().load_checkpoint(path))),
    FileKind("store, `teacher.safetensors`", lambda f: stored(f, "teacher.safetensors"), read_stored),
    FileKind("store, `teacher.json`", lambda f: stored(f, "teacher.json"), read_stored),
    FileKind("store, cached predictions", save_predictions, lambda path: plain(read_predictions(path, FACTS))),
    FileKind("distilled set, `distilled.json`", lambda f: save_distilled(f, "distilled.json"), read_distilled),
    FileKind("distilled set, `images.safetensors`", lambda f: save_distilled(f, "images.safetensors"), read_distilled),
    FileKind("soft labels, `soft_labels.json`", lambda f: save_labels(f, "soft_labels.json"), read_labels),
    FileKind("soft labels, a view", lambda f: save_labels(f, "view-00000.safetensors"), read_labels),
    FileKind(
        "image folder, `image_folder.json`", lambda f: save_image_folder(f, "image_folder.json"), read_image_folder
    ),
    FileKind("image folder, a picture", save_image_folder, read_image_folder),
    FileKind("trained model, `model.json`", lambda f: saved(f / "model")[0] / "model.json", read_trained),
    FileKind("trained model, weights", lambda f: saved(f / "model")[0] / "weights.safetensors", read_trained),
    FileKind("results, `metrics.json`", save_result, read_metrics),
    FileKind("manifest", save_manifest, read_manifest),
    FileKind("sweep, `job.json`", save_job, read_jobs, TEXT),
    FileKind("benchmark, JSON", save_bench, read_benchmark, TEXT),
    FileKind("transition, `.npy`", lambda f: save_transition(f, "t.npy"), read_transition, NUMBERS),
    FileKind("transition, `.csv`", lambda f: save_transition(f, "t.csv"), read_transition, TEXT),
    FileKind("given labels, `.npy`", lambda f: save_given(f, "g.npy"), read_given, NUMBERS),
    FileKind("given labels, `.npz`", lambda f: save_given(f, "g.npz"), read_given),
    FileKind("given labels, `.pt`", lambda f: save_given(f, "g.pt"), read_given),
    FileKind("given labels, `.txt`", lambda f: save_given(f, "g.txt"), read_given, TEXT),
    FileKind("images, `.npz`", save_arrays, read_arrays),
    FileKind("images, `.csv` list", save_table, read_table, TEXT),
    FileKind("picture, `.png`", lambda f: save_picture(f, "p.png"), lambda p: read_picture(p).tobytes(), PIXELS),
    FileKind("picture, `.jpg`", lambda f: save_picture(f, "p.jpg"), lambda p: read_picture(p).tobytes(), PIXELS),
]


class RunsCode:
    """What a harmful file holds: unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return open, (str(self.marker), "w")
