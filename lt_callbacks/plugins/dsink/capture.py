from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentValueError, StateError
from lt_callbacks.plugins.dsink.dsink import BatchField, DSink


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
        self._calls: list[tuple[Any, Any]] = []

    @torch.compiler.disable(recursive=False)
    def run_step(
        self, module: nn.Module, step: Callable[..., Any], batch: Any, args: Sequence[Any], kwargs: Any
    ) -> Any:
        """``step(batch, *args)`` with D-SINK's loss added to what it returns."""
        self._is_armed, self._was_added, self._calls = True, False, []
        try:
            output = step(batch, *args, **kwargs)
        finally:
            self._is_armed = False
            calls, self._calls = self._calls, []
        return self._finish(module, output, batch, calls)

    # What follows a step is not for a compiler to trace: the solver's loops, host reads, errors.
    @torch.compiler.disable
    def _finish(self, module: nn.Module, output: Any, batch: Any, calls: list[tuple[Any, Any]]) -> Any:
        self.num_steps_this_epoch += 1
        if self._was_added:
            self.num_added_this_epoch += 1
            return output
        # A skipped step and manual optimisation both return None; whether D-SINK ever ran is asked at the epoch's end.
        if output is None:
            return None
        loss, rebuild = _split_loss(output)
        images, logits = self._images_and_logits(module, batch, calls)
        self.num_added_this_epoch += 1
        return rebuild(loss + self._extra_loss(module, logits, images, self._index(batch)))

    @torch.compiler.disable
    def saw(self, images: Any, output: Any) -> None:
        """Record a forward call; called for every one, armed or not."""
        if self._is_armed:
            self._calls.append((images, output))

    @torch.compiler.disable
    def add(self, module: nn.Module, base_loss: Tensor, logits: Tensor, images: Tensor, index: Tensor | None) -> Tensor:
        """``base_loss`` with D-SINK's loss added, for logits and images that the user names."""
        self._was_added = True
        if not self._is_armed:
            self.num_added_this_epoch += 1
        return base_loss + self._extra_loss(module, logits, images, index)

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
                "steps: each returned None. With manual optimisation call "
                "`loss = self.add_dsink(loss, logits, images)` before `manual_backward`."
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

    def _images_and_logits(self, module: nn.Module, batch: Any, calls: list[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
        where = f"`{self.dsink.logits_from}`" if self.dsink.logits_from else "`forward`"
        if len(calls) != 1:
            raise StateError(
                f"D-SINK must see exactly one call of {where} in a training step; got {len(calls)}"
                f"{_describe(calls)}. Name the tensors yourself in training_step: "
                f"`loss = self.add_dsink(loss, logits, images)` (DSinkMixin). {_candidates(module)}"
            )
        images, logits = calls[0]
        if self.dsink.logits_from is not None:
            images = _from_batch(batch, self.dsink.images_from, default=0, argument="images_from")
        if not isinstance(logits, Tensor) or logits.ndim != 2 or not logits.is_floating_point():
            got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise StateError(f"{where} must return logits of shape (B, C); got {got}. {_candidates(module)}")
        if not isinstance(images, Tensor):
            raise StateError(
                f"The images for the teachers must be a tensor; got {type(images).__name__}. Set `logits_from` and "
                "`images_from`, or call `self.add_dsink(loss, logits, images)`."
            )
        return images, logits

    def _index(self, batch: Any) -> Tensor | None:
        if self.dsink.index_from is None and not self.dsink.needs_index:
            # Only for reports: take it where the batch plainly has it.
            found = _get(batch, "index" if isinstance(batch, Mapping) else 2)
            return found if isinstance(found, Tensor) and found.dtype == torch.int64 and found.ndim == 1 else None
        default = "index" if isinstance(batch, Mapping) else 2
        return _from_batch(batch, self.dsink.index_from, default=default, argument="index_from")

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


def _get(batch: Any, key: BatchField) -> Any:
    try:
        return batch[key]
    except (KeyError, IndexError, TypeError):
        return None


def _from_batch(batch: Any, key: BatchField | None, *, default: BatchField, argument: str) -> Tensor:
    place = default if key is None else key
    if isinstance(batch, Mapping) and key is None and default == 0:
        place = next(iter(batch))
    found = _get(batch, place)
    if not isinstance(found, Tensor):
        held = list(batch) if isinstance(batch, Mapping) else f"{len(batch)} items" if hasattr(batch, "__len__") else ""
        raise StateError(
            f"`{argument}` must name a tensor in the batch; {place!r} gives {type(found).__name__}. The batch is a "
            f"{type(batch).__name__} of {held}."
        )
    return found


def _describe(calls: list[tuple[Any, Any]]) -> str:
    shapes = [tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__ for _, output in calls]
    return f", with outputs {shapes}" if shapes else ""


def _candidates(module: nn.Module) -> str:
    linear = [
        f"{name} ({layer.out_features})" for name, layer in module.named_modules() if isinstance(layer, nn.Linear)
    ]
    names = f": {', '.join(linear)} (outputs) are its Linear layers" if linear else ""
    return f"Or set `logits_from` to the submodule of {type(module).__name__} that gives the logits{names}."


def _current_epoch(module: nn.Module) -> int:
    trainer = getattr(module, "_trainer", None)
    return 0 if trainer is None else int(trainer.current_epoch)
