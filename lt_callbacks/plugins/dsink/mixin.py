from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from lt_callbacks._errors import ArgumentTypeError, StateError
from lt_callbacks._ranks import all_ranks
from lt_callbacks.plugins.dsink.capture import Capture, check_submodule
from lt_callbacks.plugins.dsink.dsink import DSink
from lt_callbacks.plugins.rank_agreement import check_ranks_agree, watch_ranks

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule

    Base = LightningModule
else:
    Base = object

CHECKPOINT_KEY = "dsink"
_NUM_POSITIONAL: weakref.WeakKeyDictionary[Callable[..., Any], int] = weakref.WeakKeyDictionary()


class DSinkMixin(Base):
    """Adds D-SINK to a ``LightningModule``: ``class RobustNet(DSinkMixin, MyNet)``, then :meth:`attach_dsink`.

    ``MyNet`` stays as it is. Its ``training_step`` may return the loss, a mapping with ``loss``, or None (a skipped
    step), may call ``self(x)`` or ``self.forward(x)``, and is free in everything else. Without an attached
    :class:`DSink` the class behaves as ``MyNet``.

    Example:
        >>> import torch
        >>> from lightning.pytorch import LightningModule, Trainer
        >>> from torch.nn import Linear
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from lt_callbacks import DSink, DSinkMixin
        >>> class MyNet(LightningModule):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = Linear(2, 3)
        ...     def forward(self, images):
        ...         return self.layer(images)
        ...     def training_step(self, batch, batch_idx):
        ...         return torch.nn.functional.cross_entropy(self(batch[0]), batch[1])
        ...     def configure_optimizers(self):
        ...         return torch.optim.SGD(self.parameters(), lr=0.1)
        >>> class RobustNet(DSinkMixin, MyNet): ...
        >>> model = RobustNet()
        >>> dsink = DSink(noise_teacher=Linear(2, 3), imbalance_teacher=Linear(2, 3))
        >>> model.attach_dsink(dsink)
        >>> data = DataLoader(TensorDataset(torch.randn(8, 2), torch.randint(3, (8,))), batch_size=4)
        >>> Trainer(barebones=True, accelerator="cpu", max_epochs=1).fit(model, data)
        >>> sorted(model.state_dict())  # a checkpoint of RobustNet is one of MyNet
        ['layer.bias', 'layer.weight']
    """

    _dsink_capture: Capture | None = None
    _dsink_hook: RemovableHandle | None = None

    def attach_dsink(self, dsink: DSink) -> None:
        """Train with ``dsink`` from the next step on; replaces the one before.

        Raises:
            TypeError: ``dsink`` is no :class:`DSink`, or the mixin stands right of the class whose step it extends.
            ValueError: ``logits_from`` names no submodule.
        """
        if not isinstance(dsink, DSink):
            raise ArgumentTypeError(
                "dsink", rule="be a DSink", got=type(dsink).__name__, way_out="Pass DSink(noise_teacher=..., ...)."
            )
        _check_order(type(self))
        check_submodule(self, dsink)
        self.detach_dsink()
        self._dsink_capture = Capture(dsink=dsink)
        if dsink.logits_from is not None:
            self._dsink_hook = watch_submodule(self, dsink.logits_from)

    def detach_dsink(self) -> None:
        """Train without D-SINK from the next step on."""
        if self._dsink_hook is not None:
            self._dsink_hook.remove()
        self._dsink_capture = self._dsink_hook = None

    def add_dsink(self, base_loss: Tensor, logits: Tensor, images: Tensor, index: Tensor | None = None) -> Tensor:
        """``base_loss`` + D-SINK's loss, for steps with several forward passes or manual optimisation.

        Args:
            base_loss: Scalar.
            logits: (B, C) of this module, with their graph.
            images: (B, ...) what the teachers are shown.
            index: (B,) int64 sample indices; needed for cached teachers.

        Raises:
            RuntimeError: No :class:`DSink` is attached.
        """
        if self._dsink_capture is None:
            raise StateError(
                "`add_dsink` needs an attached DSink; got none. Call `attach_dsink(DSink(...))` before fit."
            )
        return self._dsink_capture.add(self, base_loss, logits, images, index)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own ``forward``; in a training step D-SINK sees what goes in and comes out."""
        output = super().forward(*args, **kwargs)
        if self._dsink_capture is not None:
            see_forward(self._dsink_capture, first_argument(args, kwargs), output)
        return output

    def training_step(self, batch: Any, batch_idx: int = 0, *args: Any, **kwargs: Any) -> Any:
        """The module's own ``training_step``, with D-SINK's loss added to what it returns."""
        step = super().training_step
        rest = (batch_idx, *args)[: num_positional(step) - 1]
        if self._dsink_capture is None:
            return step(batch, *rest, **kwargs)
        return self._dsink_capture.run_step(self, step, batch, rest, kwargs)

    def on_fit_start(self) -> None:
        """Checks that all ranks train alike, and has a compiled module traced anew."""
        super().on_fit_start()
        if self._dsink_capture is not None:
            self._dsink_capture.start_fit()
            self._dsink_capture.dsink.start()
            check_training_agrees(self._dsink_capture.dsink, self.trainer)  # type: ignore[attr-defined]
            forget_compiled_code(self)

    def on_train_epoch_start(self) -> None:
        """Starts to count the steps that D-SINK took part in."""
        super().on_train_epoch_start()
        if self._dsink_capture is not None:
            self._dsink_capture.start_epoch()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Counts the batch: of an epoch's batches D-SINK must have seen some."""
        super().on_train_batch_end(outputs, batch, batch_idx)
        if self._dsink_capture is not None:
            self._dsink_capture.num_batches_this_epoch += 1

    def on_train_epoch_end(self) -> None:
        """Raises if D-SINK took part in no step of the epoch."""
        super().on_train_epoch_end()
        if self._dsink_capture is not None:
            self._dsink_capture.end_epoch(self.current_epoch)

    def on_fit_end(self) -> None:
        """Gives the teachers' device memory back."""
        super().on_fit_end()
        if self._dsink_capture is not None:
            self._dsink_capture.dsink.finish()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Saves the running marginal and the queue under a key of their own."""
        super().on_save_checkpoint(checkpoint)
        if self._dsink_capture is not None:
            checkpoint[CHECKPOINT_KEY] = self._dsink_capture.dsink.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores the running marginal and the queue."""
        super().on_load_checkpoint(checkpoint)
        if self._dsink_capture is not None and CHECKPOINT_KEY in checkpoint:
            self._dsink_capture.dsink.load_state_dict(checkpoint[CHECKPOINT_KEY])


def _check_order(kind: type) -> None:
    """Raise if another class's ``training_step`` would be found before the mixin's, which would then never run."""
    for base in kind.__mro__:
        if base is DSinkMixin:
            return
        if "training_step" in vars(base) and not issubclass(base, DSinkMixin):
            raise ArgumentTypeError(
                "DSinkMixin",
                rule="stand left of the class that it extends",
                got=f"{kind.__name__} with {base.__name__} before it",
                way_out=f"Write `class {kind.__name__}(DSinkMixin, {base.__name__})`.",
            )


def watch_submodule(module: Any, name: str) -> RemovableHandle:
    """Let the capture of ``module`` see the outputs of its submodule ``name``, but not those of a copy's."""
    submodule = module.get_submodule(name)

    def saw(called: Any, args: Any, output: Any) -> None:
        capture = module._dsink_capture
        # A deep copy of the module carries this hook on its own submodule.
        if called is submodule and capture is not None:
            capture.saw(None, output)

    return submodule.register_forward_hook(saw)


def see_forward(capture: Capture, images: Any, output: Any) -> None:
    """Tell a capture of a call of the module's own ``forward``."""
    if capture.dsink.logits_from is None:
        capture.saw(images, output)
    else:
        capture.saw_input(images)


def check_training_agrees(dsink: DSink, trainer: Any) -> None:
    """Raise on all ranks alike where they would train with other settings, teachers or labels than each other.

    From then on they stop together, see `watch_ranks`.
    """
    if all_ranks() is not None:
        manifest = getattr(getattr(trainer, "datamodule", None), "manifest", None)
        check_ranks_agree({"dsink": dsink.facts(), "manifest": getattr(manifest, "sha256", None)})
        watch_ranks(trainer)


def forget_compiled_code(module: Any) -> None:
    """Drop what ``torch.compile`` traced before the capture was there: it does not check for hooks added later."""
    if module._compiler_ctx is not None:
        torch.compiler.reset()


def first_argument(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a forward call was given first, by position or by name."""
    return args[0] if args else next(iter(kwargs.values()), None)


def num_positional(step: Any) -> int:
    """How many positional arguments a bound ``training_step`` takes; many if it takes any number."""
    function = getattr(step, "__func__", None)
    if function is None:
        return _num_positional(step)
    # Asked in every step. Only functions of classes are kept in mind, and weakly: others may hold a whole model.
    if function not in _NUM_POSITIONAL:
        _NUM_POSITIONAL[function] = _num_positional(function) - 1
    return _NUM_POSITIONAL[function]


def _num_positional(step: Callable[..., Any]) -> int:
    parameters = inspect.signature(step).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return 1_000
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
