"""`lt-bench step`: one training step with and without D-SINK, through the real module, mixin and trainer."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.apps.shared.quiet import be_quiet
from lt_callbacks.bench.document import BenchDocument
from lt_callbacks.bench.fit_time import fit_seconds
from lt_callbacks.bench.images import build_datamodule, build_source
from lt_callbacks.bench.step_profile import profile_step, write_trace
from lt_callbacks.bench.students import Student, WithTwoForwards, optimisation
from lt_callbacks.bench.timing import TimingPlan, interleaved, ratio, summary
from lt_callbacks.data import LongTailedDataModule
from lt_callbacks.data.epoch_loader import Batch
from lt_callbacks.methods import Classifier
from lt_callbacks.models import build_model
from lt_callbacks.plugins import DSink, NaiveDistillation
from lt_callbacks.teachers import ModuleTeacher, cache

PLAIN, TWO_TEACHERS, LIVE, CACHED, NAIVE = (
    "CE",
    "CE + two teachers, unused",
    "D-SINK, live teachers",
    "D-SINK, cached teachers",
    "naive distillation",
)

#: Name -> what is divided by what.
RATIOS = {
    "D-SINK live / CE with two forwards": (LIVE, TWO_TEACHERS),
    "D-SINK cached / CE": (CACHED, PLAIN),
    "D-SINK live / CE": (LIVE, PLAIN),
    "naive / CE with two forwards": (NAIVE, TWO_TEACHERS),
}

#: Batches that the bare loop goes round, held on the device.
NUM_BATCHES = 8


@dataclass(frozen=True)
class StepSetting:
    """What a training step is made with: model, classes, batch size, precision, data.

    Attributes:
        model: See `lt_callbacks.models.build_model`.
        num_classes: C of made-up images.
        batch_size: B.
        precision: ``"32-true"`` or ``"bf16-mixed"``.
        data: See `lt_callbacks.bench.images.build_source`.
        teacher_steps: Steps that the teachers are trained for, so that the transport has something to do.
        fit_steps: Steps of a fit, in the measurement within `Trainer.fit`; 0: no such measurement.
    """

    model: str
    num_classes: int = 10
    batch_size: int = 128
    precision: str = "32-true"
    data: str | None = None
    teacher_steps: int = 60
    fit_steps: int = 8

    @property
    def name(self) -> str:
        """The name of its measurements, up to the colon."""
        return f"{self.model} C={self.num_classes}"


def run(
    settings: Sequence[StepSetting],
    plan: TimingPlan,
    *,
    output: Path,
    command: str,
    seed: int = 0,
    trace: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> BenchDocument:
    """Time the steps of these settings that the document in ``output`` lacks.

    Args:
        settings: What to time; they differ in model and classes alone.
        plan: How it is timed.
        output: Folder of the document.
        command: As typed.
        seed: Of weights, data and their corruption.
        trace: Whether a trace of three D-SINK steps is left for each setting.
        say: Is told what is going on.
    """
    be_quiet()
    common = {name: value for name, value in vars(settings[0]).items() if name not in ("model", "num_classes")}
    if common["data"] is not None:
        common["data"] = Path(common["data"]).name
    document = BenchDocument(
        output / "bench-step.json", kind="step", settings={**vars(plan), **common, "seed": seed}, command=command
    )
    for setting in settings:
        names = {part: f"{setting.name}: {part}" for part in ("bare", "fit", "profile")}
        if not setting.fit_steps:
            del names["fit"]
        missing = [part for part, name in names.items() if name not in document.measurements]
        if not missing and not trace:
            say(f"{setting.name}: kept from {document.path.name}")
            continue
        bench = StepBench(setting, device=plan.device, seed=seed, say=say)
        for part in missing:
            say(f"{names[part]}")
            document.add(names[part], {"part": part, **bench.measure(part, plan)})
        if trace:
            # Left beside the figures, and written anew each time.
            path = output / f"bench-step-{setting.model}-{setting.num_classes}-trace.json"
            write_trace(partial(bench.step, LIVE), path, device=plan.device)
            say(f"{path}")
    return document


class StepBench:
    """Five ways to make a training step, on the same batches, each with a student of its own from the same weights.

    Args:
        setting: What is timed.
        device: ``"cpu"`` or ``"cuda"``.
        seed: Of weights, data and their corruption.
        say: Is told what is going on.
    """

    def __init__(
        self, setting: StepSetting, *, device: str, seed: int, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.setting, self.device, self.seed = setting, device, seed
        num_train = 4 * NUM_BATCHES * setting.batch_size
        source = build_source(
            setting.data, num_classes=setting.num_classes, num_train=num_train, num_test=10, seed=seed
        )
        self.datamodule = build_datamodule(source, batch_size=setting.batch_size, seed=seed)
        self.batches = first_batches(self.datamodule, NUM_BATCHES, device=device)
        torch.manual_seed(seed)
        say(f"{setting.name}: training two teachers for {setting.teacher_steps} steps")
        networks = [self._network() for _ in range(2)]
        for network in networks:
            train_briefly(network, self.batches, steps=setting.teacher_steps)
        self.noise, self.imbalance = (ModuleTeacher(network, num_classes=source.num_classes) for network in networks)
        self.initial = self._network()
        self.modules = {name: self.module(name).to(device) for name in (PLAIN, TWO_TEACHERS, LIVE, CACHED, NAIVE)}
        self.optimizers = {
            name: optimisation().configure(module.network.parameters(), num_steps=1)["optimizer"]
            for name, module in self.modules.items()
        }
        self._turns = dict.fromkeys(self.modules, 0)

    def _network(self) -> nn.Module:
        shape = self.datamodule.image_shape
        network = build_model(self.setting.model, num_classes=self.datamodule.num_classes, in_channels=shape[0])
        return network.to(self.device)

    def module(self, name: str) -> Classifier:
        """A fresh module of one of the five ways, from the same weights."""
        network = copy.deepcopy(self.initial)
        if name == PLAIN:
            return Classifier(network=network, optimisation=optimisation())
        if name == TWO_TEACHERS:
            return WithTwoForwards(teachers=(self.noise, self.imbalance), network=network)
        student = Student(network=network, optimisation=optimisation())
        student.attach_dsink(self._dsink(name))
        return student

    def _dsink(self, name: str) -> DSink:
        if name == NAIVE:
            return NaiveDistillation(noise_teacher=self.noise, imbalance_teacher=self.imbalance)
        if name == CACHED:
            options = {"accelerator": "gpu" if self.device == "cuda" else "cpu", "enable_progress_bar": False}
            tables = [cache(teacher, self.datamodule, trainer=options) for teacher in (self.noise, self.imbalance)]
            # A step outside of a trainer sees the batch alone, not whose it is.
            return DSink(noise_teacher=tables[0], imbalance_teacher=tables[1], index_from=2)
        return DSink(noise_teacher=self.noise, imbalance_teacher=self.imbalance)

    def step(self, name: str) -> Tensor:
        """Make one step of one way, as Lightning does under automatic optimisation, and return its loss."""
        module, optimizer = self.modules[name], self.optimizers[name]
        batch = self.batches[self._turns[name] % len(self.batches)]
        self._turns[name] += 1
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.setting.precision == "bf16-mixed"):
            loss = module.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def measure(self, part: str, plan: TimingPlan) -> dict[str, Any]:
        """Time all ways in a ``"bare"`` loop or a ``"fit"``, or ``"profile"`` a D-SINK step."""
        with warnings.catch_warnings():
            # A module without a trainer says at each step that it cannot log.
            warnings.simplefilter("ignore")
            if part == "profile":
                return self._profile(plan)
            samples = self._bare(plan) if part == "bare" else self._fits(plan)
        rows = {name: summary(values) for name, values in samples.items()}
        return {"rows": rows, "ratios": step_ratios(rows), **(self._facts() if part == "bare" else {})}

    def _bare(self, plan: TimingPlan) -> dict[str, list[float]]:
        return interleaved({name: partial(self.step, name) for name in self.modules}, plan)

    def _fits(self, plan: TimingPlan) -> dict[str, list[float]]:
        """Seconds a step within `Trainer.fit`, one number a fit; the first of its steps is not counted."""
        samples: dict[str, list[float]] = {name: [] for name in self.modules}
        for turn in range(plan.rounds + 1):
            names = list(self.modules)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                seconds = fit_seconds(
                    self.module(name),
                    self.datamodule,
                    steps=self.setting.fit_steps,
                    precision=self.setting.precision,
                    device=self.device,
                )
                if turn:
                    samples[name].append(seconds)
        return samples

    def _profile(self, plan: TimingPlan) -> dict[str, Any]:
        module: Any = self.modules[LIVE]
        shares = profile_step(
            partial(self.step, LIVE),
            steps=max(plan.rounds, 3),
            device=self.device,
            network=module.network,
            dsink=module._dsink_capture.dsink,
            optimizer=self.optimizers[LIVE],
        )
        return {"shares": shares}

    def _facts(self) -> dict[str, Any]:
        """What the transport had to do in the last step of the live student."""
        module: Any = self.modules[LIVE]
        proxy = module._dsink_capture.dsink.last_step.proxy
        return {"sweeps": int(proxy.iterations), "marginal_error": float(proxy.marginal_error)}


def step_ratios(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The ratios that a table shows, from the rows of one run."""
    return {name: ratio(rows[above], rows[below]) for name, (above, below) in RATIOS.items()}


def first_batches(datamodule: LongTailedDataModule, count: int, *, device: str) -> list[Batch]:
    """The first training batches of full size, on the device.

    Raises:
        ValueError: The training set has fewer samples than a batch.
    """
    found: list[Batch] = []
    for images, labels, index in datamodule.train_dataloader():
        if len(images) == datamodule.batch_size:
            found.append((images.to(device), labels.to(device), index.to(device)))
        if len(found) == count:
            break
    if not found:
        raise ArgumentValueError(
            "--batch-size",
            rule=f"be at most the number of training samples, {len(datamodule.train_indices)}",
            got=str(datamodule.batch_size),
            way_out="Lower it.",
        )
    return found


def train_briefly(network: nn.Module, batches: Sequence[Batch], *, steps: int) -> None:
    """Train a network by cross-entropy on the given labels, in place."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    network.train()
    for position in range(steps):
        images, labels, _ = batches[position % len(batches)]
        loss = nn.functional.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
