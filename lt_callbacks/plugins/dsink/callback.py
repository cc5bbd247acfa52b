from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.model_helpers import is_overridden
from torch.utils.hooks import RemovableHandle

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError, StateError
from lt_callbacks.plugins.dsink.capture import Capture, check_submodule, manual_optimisation
from lt_callbacks.plugins.dsink.dsink import DSink
from lt_callbacks.plugins.dsink.mixin import (
    DSinkMixin,
    check_training_agrees,
    first_argument,
    forget_compiled_code,
    num_positional,
    see_forward,
    watch_submodule,
)

_ABSENT = object()


class DSinkCallback(Callback):
    """Adds D-SINK to any ``LightningModule`` for the time of a fit; afterwards the instance is as it was.

    The instance's ``forward`` and ``training_step`` are wrapped when the fit starts, also those that ``torch.compile``
    put there, and put back at its end and after an exception.

    Args:
        dsink: What to add to the step's loss.

    State in the checkpoint: running marginal and queue, under the callback's own key; no teacher.

    Example:
        >>> import torch
        >>> from lightning.pytorch import LightningModule, Trainer
        >>> from torch.nn import Linear
        >>> from torch.utils.data import DataLoader, TensorDataset
        >>> from lt_callbacks import DSink, DSinkCallback
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
        >>> model = MyNet()
        >>> data = DataLoader(TensorDataset(torch.randn(8, 2), torch.randint(3, (8,))), batch_size=4)
        >>> callback = DSinkCallback(DSink(noise_teacher=Linear(2, 3), imbalance_teacher=Linear(2, 3)))
        >>> Trainer(barebones=True, accelerator="cpu", max_epochs=1, callbacks=[callback]).fit(model, data)
        >>> "training_step" in vars(model)  # wrapped for the time of the fit only
        False
    """

    def __init__(self, dsink: DSink) -> None:
        if not isinstance(dsink, DSink):
            raise ArgumentTypeError(
                "dsink", rule="be a DSink", got=type(dsink).__name__, way_out="Pass DSink(noise_teacher=..., ...)."
            )
        self.dsink = dsink
        self._capture = Capture(dsink=dsink)
        self._is_set_up = False
        self._module: LightningModule | None = None
        self._before: dict[str, Any] = {}
        self._hook: RemovableHandle | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Checks the settings against the module before the first step."""
        self._is_set_up = True
        if stage != "fit":
            return
        if isinstance(pl_module, DSinkMixin) and pl_module._dsink_capture is not None:
            raise ArgumentValueError(
                "dsink",
                rule="be attached once",
                got="a module with an attached DSink and a DSinkCallback",
                way_out="Drop the callback or call `detach_dsink()`.",
            )
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by a connector of Lightning's
        others = [callback for callback in callbacks if callback is not self]
        if any(isinstance(callback, DSinkCallback) for callback in others):
            raise ArgumentValueError(
                "callbacks",
                rule="have one DSinkCallback",
                got=f"{1 + sum(isinstance(callback, DSinkCallback) for callback in others)}",
                way_out="Leave one; a DSink has one pair of teachers.",
            )
        if not pl_module.automatic_optimization:
            raise StateError(f"{manual_optimisation(pl_module)} Use `attach_dsink(...)` in place of the DSinkCallback.")
        if not is_overridden("configure_model", pl_module):
            check_submodule(pl_module, self.dsink)
        check_training_agrees(self.dsink, trainer)
        # Before the finders of learning rate and batch size, which train when the fit starts.
        others = [callback for callback in trainer.callbacks if callback is not self]  # type: ignore[attr-defined]
        trainer.callbacks = [self, *others]  # type: ignore[attr-defined]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wraps the module's ``forward`` and ``training_step`` on the instance."""
        check_submodule(pl_module, self.dsink)
        self.dsink.start()
        self._capture = capture = Capture(dsink=self.dsink)
        self._module = pl_module
        self._put("_dsink_capture", capture)
        self._put("forward", _SeenForward(pl_module.forward, capture))
        if self.dsink.logits_from is not None:
            self._hook = watch_submodule(pl_module, self.dsink.logits_from)
        forget_compiled_code(pl_module)
        self._put("training_step", _ExtendedStep(pl_module.training_step, pl_module, capture))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts to count the steps that D-SINK took part in."""
        self._capture.start_epoch()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the batch: of an epoch's batches D-SINK must have seen some."""
        self._capture.num_batches_this_epoch += 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raises if D-SINK took part in no step of the epoch."""
        self._capture.end_epoch(trainer.current_epoch)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the module back as it was, and gives the teachers' device memory back."""
        self._restore()
        self.dsink.finish()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Puts the module back as it was."""
        self._restore()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Puts the module back as it was where a fit ends without its end, as that of a tuner does."""
        if self._module is not None:
            self._restore()
            self.dsink.finish()

    @property
    def state_key(self) -> str:
        """The class's name, under which its state stands in the checkpoint."""
        # Lightning refuses two of one key when a trainer is made, without saying what is wrong; ``setup`` does.
        return type(self).__name__ if self._is_set_up else f"{type(self).__name__}-{id(self)}"

    def state_dict(self) -> dict[str, Any]:
        """D-SINK's running marginal and queue, for the checkpoint."""
        return self.dsink.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint's running marginal and queue."""
        self.dsink.load_state_dict(state_dict)

    def _put(self, name: str, value: Any) -> None:
        self._before[name] = vars(self._module).get(name, _ABSENT)
        setattr(self._module, name, value)

    def _restore(self) -> None:
        module, self._module = self._module, None
        if module is None:
            return
        if self._hook is not None:
            self._hook.remove()
            self._hook = None
        for name, value in self._before.items():
            if value is _ABSENT:
                vars(module).pop(name, None)
            else:
                vars(module)[name] = value
        self._before = {}


class _Wrapper:
    """A callable on an instance, whose deep copy is the plain method of the copied instance."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        # Lightning reads the arguments of `training_step` from here.
        self.__wrapped__ = inspect.unwrap(method)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        # A bound method is copied onto the copy of its instance, so an averaged model runs its own weights, unseen.
        return copy.deepcopy(self.method, memo)


class _SeenForward(_Wrapper):
    def __init__(self, method: Callable[..., Any], capture: Capture) -> None:
        super().__init__(method)
        self.capture = capture

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        output = self.method(*args, **kwargs)
        see_forward(self.capture, first_argument(args, kwargs), output)
        return output


class _ExtendedStep(_Wrapper):
    def __init__(self, method: Callable[..., Any], module: LightningModule, capture: Capture) -> None:
        super().__init__(method)
        self.module, self.capture = module, capture

    def __call__(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        rest = args[: num_positional(self.__wrapped__) - 1]
        return self.capture.run_step(self.module, self.method, batch, rest, kwargs)
