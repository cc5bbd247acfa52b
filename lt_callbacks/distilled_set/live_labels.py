# Legend: B batch, C classes.
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.distilled_set.views import Views


class LiveLabels:
    """Soft labels that a model gives when they are asked for: those that a store would hold.

    Args:
        model: Its ``forward(images)`` returns (B, C) logits. Used in eval mode, left in the modes that it was in.
        views: The distilled set as the model sees it; the model is on the same device.
        adjust: (B, C) float32 logits -> logits of that shape, such as a calibration; None: nothing.
    """

    def __init__(self, model: nn.Module, views: Views, *, adjust: Callable[[Tensor], Tensor] | None = None) -> None:
        if not isinstance(model, nn.Module):
            raise ArgumentTypeError(
                "model", rule="be a torch.nn.Module", got=type(model).__name__, way_out="Pass the trained module."
            )
        if not isinstance(views, Views):
            raise ArgumentTypeError(
                "views", rule="be Views", got=type(views).__name__, way_out="Use Views(distilled, settings)."
            )
        if adjust is not None and not callable(adjust):
            raise ArgumentTypeError("adjust", rule="be a function of logits", got=repr(adjust))
        self.model, self.views, self.adjust = model, views, adjust

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return self.views.distilled.num_classes

    @torch.no_grad()
    def logits(self, samples: Tensor, view: int) -> Tensor:
        """Logits of samples in one view: (B, C) float32 on the views' device, without a graph, finite or not.

        Args:
            samples: (B,) int64 positions in the set.
            view: Number of the view, >= 0.

        Raises:
            TypeError, ValueError: A position or the view is out of range, or the model or ``adjust`` does not return
                (B, C) logits.
        """
        images = self.views.images(samples, view)
        # Labels do not depend on the precision of whoever asks.
        with in_eval_mode(self.model), torch.autocast(images.device.type, enabled=False):
            logits = _checked("model", self.model(images.to(_dtype(self.model))), len(images), self.num_classes)
            logits = logits.detach().to(torch.float32)
            if self.adjust is not None:
                logits = _checked("adjust", self.adjust(logits), len(images), self.num_classes).to(torch.float32)
        return logits


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """A context in which ``model`` is in eval mode; each module returns to its own mode after it.

    ``model.train()`` instead would thaw what the user froze.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        if any(is_training for _, is_training in modes):
            model.eval()
        yield
    finally:
        for module, is_training in modes:
            module.training = is_training


def _dtype(model: nn.Module) -> torch.dtype:
    floating = (parameter.dtype for parameter in model.parameters() if parameter.is_floating_point())
    return next(floating, torch.float32)


def _checked(name: str, logits: object, num_images: int, num_classes: int) -> Tensor:
    if not isinstance(logits, Tensor) or logits.shape != (num_images, num_classes):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ArgumentValueError(
            name,
            rule=f"return logits of shape ({num_images}, {num_classes}), a column for each class of the distilled set",
            got=str(got),
            way_out="Wrap it in one that does.",
        )
    return logits
