from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers.logger import DummyLogger
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.objectives import Objective
from lt_callbacks.teachers.batch_fields import BatchFields
from lt_callbacks.teachers.positions import Positioned, with_positions
from lt_callbacks.teachers.replaced import replaced
from lt_callbacks.teachers.training_data import IndexedLoader, TrainingData


def fit_teacher(network: LightningModule, objective: Objective, data: TrainingData, trainer: Mapping[str, Any]) -> None:
    """Train a user's module in place on an objective instead of its own loss, in its own pipeline otherwise.

    The module is fitted itself, with the user's datamodule: for the time of the fit its ``training_step`` is another
    one, and its other hooks, those of the datamodule and the validation run as in the user's own training. One is left
    out, ``on_train_epoch_end``: it works with what the user's step collected.

    Args:
        network: Gives ``forward``, which must return logits, and ``configure_optimizers``.
        objective: Fresh; told here what it has to know of the data.
        data: Gives the batches.
        trainer: Arguments of ``lightning.Trainer``, for one device.

    Raises:
        TypeError: The module does not return logits.
        ValueError: It has several optimisers or none, or a batch does not hold what is needed.
    """
    # A user's hooks may speak to the logger.
    defaults = {"logger": DummyLogger(), "enable_checkpointing": False, "enable_model_summary": False}
    runner = Trainer(**{**defaults, **trainer})
    source = data.indexed() if objective.needs_index else data.as_it_is()
    # A process group that is there already is the caller's: the other ranks wait at the store, not in this fit.
    objective.spans_ranks = False
    objective.prepare(
        class_counts=data.class_counts, num_samples=source.num_samples, max_epochs=max(int(runner.max_epochs or 1), 1)
    )
    datamodule = data.datamodule
    step = TeacherStep(network=network, objective=objective, fields=source.fields)
    loaders = _Loaders(datamodule.train_dataloader, source)
    before = datamodule.trainer
    with ExitStack() as stack:
        # Set up once for both teachers: a split that is drawn there is drawn once, and nothing is torn down between.
        nothing = dict.fromkeys(("prepare_data", "setup", "teardown"), _do_nothing)
        stack.enter_context(replaced(datamodule, train_dataloader=loaders.next, **nothing))
        stack.enter_context(
            replaced(
                network,
                training_step=step.run,
                configure_optimizers=_one_optimizer(network.configure_optimizers),
                on_train_epoch_end=_do_nothing,
            )
        )
        for owner in (network, datamodule):
            hook = step.taking_index(owner.on_before_batch_transfer)
            stack.enter_context(replaced(owner, on_before_batch_transfer=hook))
        stack.enter_context(warnings.catch_warnings())
        if "logger" not in trainer:
            # Nobody reads what this logger is told.
            warnings.filterwarnings("ignore", "The number of training batches .* logging interval")
        try:
            runner.fit(network, datamodule=datamodule)
        finally:
            datamodule.trainer = before  # type: ignore[assignment]  # None where it had none
    _undo_compilation(network)


class TeacherStep:
    """The training step of a teacher: another module's network, with an objective in place of its own loss.

    Args:
        network: Gives ``forward``.
        objective: What is minimised; prepared. It is no part of the network, and follows it to its device.
        fields: Where things stand in the batches.
    """

    def __init__(self, *, network: LightningModule, objective: Objective, fields: BatchFields) -> None:
        self.network, self.objective, self.fields = network, objective, fields
        self._index: Tensor | None = None

    def taking_index(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """A module's ``on_before_batch_transfer``, given the user's own batch; its positions are kept for the step."""

        # Lightning asks whether the hook is the user's own by what is wrapped.
        @functools.wraps(hook)
        def on_before_batch_transfer(batch: Any, dataloader_idx: int) -> Any:
            if isinstance(batch, Positioned):
                batch, self._index = batch
            return hook(batch, dataloader_idx)

        return on_before_batch_transfer

    def run(self, batch: Any, batch_idx: int) -> Tensor:
        """The objective's loss of one batch, a scalar."""
        network, objective = self.network, self.objective
        if objective.epoch != network.current_epoch:
            objective.set_epoch(network.current_epoch)
        logits = network(self.fields.images(batch))
        if not isinstance(logits, torch.Tensor):
            raise ArgumentTypeError(
                "module",
                rule="make modules whose `forward` returns logits (B, C), to train a teacher with",
                got=f"{type(logits).__name__} from `forward` of {type(network).__name__}",
                way_out="Pass a function that makes a module whose `forward` does.",
            )
        objective.to(logits.device)
        # Batches of an objective that needs no index may hold anything in its place, such as file names.
        index = self._sample_index(batch, logits.device) if objective.needs_index else None
        loss = objective(logits, self.fields.label(batch), index)
        for name in self._monitored():
            network.log(name, loss.detach(), on_step=False, on_epoch=True, batch_size=len(logits))
        return loss

    def _sample_index(self, batch: Any, device: torch.device) -> Tensor:
        index, self._index = self._index, None
        return self.fields.index(batch) if index is None else index.to(device, non_blocking=True)

    def _monitored(self) -> list[str]:
        """The training loss under the name that a schedule waits for, which the user's own step would have logged."""
        names = [str(config.monitor) for config in self.network.trainer.lr_scheduler_configs if config.monitor]
        return [name for name in names if "train" in name and "loss" in name]


class _Loaders:
    """The training loader that was looked at, and where Lightning asks again for one, a new one like it."""

    def __init__(self, make: Callable[[], Any], source: IndexedLoader) -> None:
        self.make, self.source = make, source
        self.is_first = True

    def next(self) -> Any:
        if self.is_first:
            self.is_first = False
            return self.source.loader
        return with_positions(self.make()) if self.source.adds_positions else self.make()


def check_trainable(network: LightningModule) -> None:
    """Refuse a module whose training is its own ``training_step``'s, with a ValueError."""
    if not network.automatic_optimization:
        raise ArgumentValueError(
            "module",
            rule="make modules with automatic optimisation, whose `training_step` the objective's can replace",
            got=f"{type(network).__name__} with `automatic_optimization = False`",
            way_out="Pass a function that makes one with a single optimiser, or give DSink teachers that you trained.",
        )


def _one_optimizer(configure: Callable[[], Any]) -> Callable[[], Any]:
    @functools.wraps(configure)
    def configure_optimizers() -> Any:
        made = configure()
        number = _num_optimizers(made)
        if number != 1:
            raise ArgumentValueError(
                "module",
                rule="make modules whose `configure_optimizers` gives one optimiser, to train a teacher with",
                got=str(number),
                way_out="Pass a function that makes one with a single optimiser over all parameters, or give DSink "
                "teachers that you trained.",
            )
        return made

    return configure_optimizers


def _num_optimizers(made: Any) -> int:
    if isinstance(made, list | tuple):
        # Optimisers and schedules, as two lists; or one list of optimisers.
        is_pair = len(made) == 2 and isinstance(made[0], list | tuple)
        return len(made[0]) if is_pair else len(made)
    return 0 if made is None else 1


def _do_nothing(*args: Any, **named: Any) -> None:
    pass


def _undo_compilation(network: nn.Module) -> None:
    """Put the layers that a ``setup`` had compiled back: names in the state dict are those of a fresh module."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            inner = getattr(child, "_orig_mod", None)
            if isinstance(inner, nn.Module):
                setattr(parent, name, inner)
