from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentValueError, StateError
from lt_callbacks.plugins.dsink.dsink import DSink
from lt_callbacks.plugins.dsink.first_step import check_first_step
from lt_callbacks.plugins.dsink.step_batch import StepBatch


class Capture:
    """Watches one training step of one module: which images went in, which logits came out.

    It is armed inside ``training_step`` only, so that validation, averaged copies and calls between steps go unseen.

    Args:
        dsink: What to add to the step's loss.
    """

    def __init__(self, *, dsink: DSink) -> None:
        self.dsink = dsink
        self.num_steps_this_epoch = 0
        self.num_added_this_epoch = 0
        self.num_batches_this_epoch = 0
        self._is_armed = False
        self._was_added = False
        self._num_added = 0
        self._calls: list[tuple[Any, Any]] = []
        self._inputs: list[Any] = []
        self.start_fit()

    def start_fit(self) -> None:
        """Look closely at the next step, as at the first of every fit."""
        self._is_checked = self._has_added = False
        self._batch = StepBatch(
            images_from=self.dsink.images_from, index_from=self.dsink.index_from, needs_index=self.dsink.needs_index
        )

    @torch.compiler.disable(recursive=False)
    def run_step(
        self, module: nn.Module, step: Callable[..., Any], batch: Any, args: Sequence[Any], kwargs: Any
    ) -> Any:
        """``step(batch, *args)`` with D-SINK's loss added to what it returns."""
        self._is_armed, self._was_added, self._num_added = True, False, 0
        self._calls, self._inputs = [], []
        # A monitor must not take what an earlier step left for this one's, if this one is skipped or fails.
        self.dsink.last_step = None
        try:
            output = step(batch, *args, **kwargs)
        finally:
            self._is_armed = False
            calls, self._calls = self._calls, []
            inputs, self._inputs = self._inputs, []
        return self._finish(module, output, batch, calls, inputs)

    # What follows a step is not for a compiler to trace: the solver's loops, host reads, errors.
    @torch.compiler.disable
    def _finish(
        self, module: nn.Module, output: Any, batch: Any, calls: list[tuple[Any, Any]], inputs: list[Any]
    ) -> Any:
        self.num_steps_this_epoch += 1
        if self._was_added:
            # A step may catch the error of `add_dsink`, and goes without then.
            self.num_added_this_epoch += min(self._num_added, 1)
            return output
        if not getattr(module, "automatic_optimization", True):
            if not self._has_added:
                raise StateError(manual_optimisation(module))
            # A loss that it returns is not minimised.
            return output
        # A skipped step; whether D-SINK ever ran is asked at the epoch's end.
        if output is None:
            return None
        loss, rebuild = _split_loss(output)
        images, logits = self._images_and_logits(module, batch, calls, inputs)
        self._look(batch, logits)
        self.num_added_this_epoch += 1
        return rebuild(loss + self._extra_loss(module, logits, images, self._batch.index(module, batch)))

    def _look(self, batch: Any, logits: Tensor) -> None:
        if not self._is_checked:
            self._is_checked = True
            check_first_step(batch, logits)

    @torch.compiler.disable
    def saw(self, images: Any, output: Any) -> None:
        """Record a forward call; called for every one, armed or not."""
        if self._is_armed:
            self._calls.append((images, output))

    @torch.compiler.disable
    def saw_input(self, images: Any) -> None:
        """Record what the module's own ``forward`` is called with, where the logits are a submodule's."""
        if self._is_armed:
            self._inputs.append(images)

    @torch.compiler.disable
    def add(self, module: nn.Module, base_loss: Tensor, logits: Tensor, images: Tensor, index: Tensor | None) -> Tensor:
        """``base_loss`` with D-SINK's loss added, for logits and images that the user names."""
        self._was_added = self._has_added = True
        self._look(None, logits)
        loss = base_loss + self._extra_loss(module, logits, images, index)
        if self._is_armed:
            self._num_added += 1
        else:
            self.num_added_this_epoch += 1
        return loss

    def start_epoch(self) -> None:
        """Count steps and batches from 0 again."""
        self.num_steps_this_epoch = self.num_added_this_epoch = self.num_batches_this_epoch = 0

    def end_epoch(self, epoch: int) -> None:
        """Raise if the epoch had batches and D-SINK took part in none."""
        if self.num_added_this_epoch:
            return
        if self.num_batches_this_epoch and not self.num_steps_this_epoch:
            raise StateError(
                f"D-SINK must run in training; in epoch {epoch} none of {self.num_batches_this_epoch} batches came by "
                "it: a class left of DSinkMixin defines `training_step` without calling `super().training_step`. Put "
                "that step into a class right of DSinkMixin, or call `self.add_dsink(loss, logits, images)` in it."
            )
        if self.num_steps_this_epoch:
            raise StateError(
                f"D-SINK must run in training; in epoch {epoch} it did not run in any of {self.num_steps_this_epoch} "
                "steps: each returned None, or caught the error of `add_dsink`. Return the loss of `training_step`."
            )

    def _extra_loss(self, module: nn.Module, logits: Tensor, images: Tensor, index: Tensor | None) -> Tensor:
        parameter = next((p for p in module.parameters() if p.is_floating_point()), None)
        return self.dsink.loss(
            logits,
            images,
            index=index,
            epoch=_current_epoch(module),
            dtype=None if parameter is None else parameter.dtype,
        )

    def _images_and_logits(
        self, module: nn.Module, batch: Any, calls: list[tuple[Any, Any]], inputs: list[Any]
    ) -> tuple[Tensor, Tensor]:
        logits_from = self.dsink.logits_from
        where = f"`{logits_from}`" if logits_from else "`forward`"
        if len(calls) != 1:
            # A submodule that is called twice is called twice by whatever name.
            other = "" if logits_from and calls else f" {_candidates(module, logits_from)}"
            raise StateError(
                f"D-SINK must see exactly one call of {where} in a training step; got {len(calls)}"
                f"{_describe(calls)}. Name the tensors yourself in training_step: "
                f"`loss = self.add_dsink(loss, logits, images)` (DSinkMixin).{other}"
            )
        images, logits = calls[0]
        if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point():
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise StateError(
                f"{where} must return logits of shape (B, C); got {got}. {_candidates(module, logits_from)}"
            )
        if logits_from is not None:
            images = self._batch.images(batch, inputs)
        if not isinstance(images, Tensor):
            raise StateError(
                f"The images for the teachers must be a tensor; got {type(images).__name__}. Set `logits_from` and "
                "`images_from`, or call `self.add_dsink(loss, logits, images)` (DSinkMixin)."
            )
        return images, logits

    def __deepcopy__(self, memo: dict[int, object]) -> Capture:
        """A fresh watch for the copied module; the teachers stay shared."""
        return Capture(dsink=self.dsink)


def check_submodule(module: nn.Module, dsink: DSink) -> None:
    """Raise if ``logits_from`` names no submodule of ``module``."""
    names = dict(module.named_modules())
    if dsink.logits_from is not None and dsink.logits_from not in names:
        raise ArgumentValueError(
            "logits_from",
            rule=f"name a submodule of {type(module).__name__}",
            got=repr(dsink.logits_from),
            way_out=f"It has {sorted(name for name in names if name)[:20]}.",
        )


def _split_loss(output: Any) -> tuple[Tensor, Callable[[Tensor], Any]]:
    if isinstance(output, Tensor):
        return output, lambda loss: loss
    if isinstance(output, Mapping) and isinstance(output.get("loss"), Tensor):
        return output["loss"], lambda loss: {**output, "loss": loss}
    raise StateError(
        f"`training_step` must return the loss, a mapping with `loss`, or None; got {type(output).__name__}."
    )


def _describe(calls: list[tuple[Any, Any]]) -> str:
    shapes = [tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__ for _, output in calls]
    return f", with outputs {shapes}" if shapes else ""


def _candidates(module: nn.Module, logits_from: str | None) -> str:
    linear = [
        f"{name} ({layer.out_features})"
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and name != logits_from
    ]
    names = f": {', '.join(linear)} (outputs) are its Linear layers" if linear else ""
    another = "the" if logits_from is None else "another"
    return f"Or set `logits_from` to {another} submodule of {type(module).__name__} that gives the logits{names}."


def manual_optimisation(module: nn.Module) -> str:
    """Why D-SINK does not run by itself in a module that optimises by hand, and the way out."""
    derive = "Call" if hasattr(module, "add_dsink") else "Derive it from DSinkMixin and call"
    return (
        f"D-SINK must be added before the backward pass; {type(module).__name__} optimises by hand "
        "(`automatic_optimization = False`), so nothing can be added to what its step returns. "
        f"{derive} `loss = self.add_dsink(loss, logits, images)` before `manual_backward(loss)`."
    )


def _current_epoch(module: nn.Module) -> int:
    trainer = getattr(module, "_trainer", None)
    return 0 if trainer is None else int(trainer.current_epoch)
