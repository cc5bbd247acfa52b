from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lt_callbacks._errors import StateError
from lt_callbacks.teachers.batch_fields import BatchField, describe_batch, get_field
from lt_callbacks.teachers.sample_index import gives_index


class StepBatch:
    """Finds in a training step's batch what D-SINK needs of it: the images that the network saw, and the index.

    Args:
        images_from: Key or position of the images; None: the first item.
        index_from: Key or position of the sample indices; None: the key ``"index"`` of a mapping, or the third item
            where the trainer's loader is one whose third item surely is the index.
        needs_index: Whether a missing index is an error.
    """

    def __init__(self, *, images_from: BatchField | None, index_from: BatchField | None, needs_index: bool) -> None:
        self.images_from, self.index_from, self.needs_index = images_from, index_from, needs_index
        self._loader: Any = None
        self._third_is_index = False
        self._is_compared = False

    def images(self, batch: Any, inputs: list[Any]) -> Tensor:
        """What the teachers are shown beside the logits of a submodule.

        Args:
            batch: As ``training_step`` got it.
            inputs: What the module's own ``forward`` was called with in the step.

        Raises:
            RuntimeError: There is no tensor, or the network saw other images than the named ones.
        """
        first = next(iter(batch), None) if isinstance(batch, Mapping) else 0
        held = self._tensor(batch, first if self.images_from is None else self.images_from, "images_from")
        seen = inputs[0] if len(inputs) == 1 else None
        # With another number of dimensions it was called with something else than images, such as features.
        if not isinstance(seen, Tensor) or seen is held or seen.ndim != held.ndim:
            return held
        # The step, or a hook of the module, has changed the images on their way to the network.
        if self.images_from is None:
            return seen
        if not self._is_compared:
            self._is_compared = True
            if seen.shape != held.shape or not torch.equal(seen, held):
                raise StateError(
                    f"`images_from` must name the images that the network sees; {self.images_from!r} holds others than "
                    "`forward` was called with, since the step or a hook changed them on the way. Leave `images_from` "
                    "out, and the teachers see what `forward` is called with, or name the tensors yourself: "
                    "`loss = self.add_dsink(loss, logits, images)` (DSinkMixin)."
                )
        return seen

    def index(self, module: Any, batch: Any) -> Tensor | None:
        """The samples' indices, where it is certain that they are.

        Raises:
            RuntimeError: They are needed and there are none, or what is named is no tensor.
        """
        if self.index_from is not None:
            return self._tensor(batch, self.index_from, "index_from")
        is_named = isinstance(batch, Mapping)
        found = get_field(batch, "index" if is_named else 2) if is_named or self._is_third(module) else None
        if isinstance(found, Tensor) and found.ndim == 1 and not found.is_floating_point():
            return found
        if self.needs_index:
            raise StateError(
                "`index_from` must name the samples' index in the batch, since a cached teacher's predictions are "
                f"looked up by it; got None, and {describe_batch(batch)} in which no item surely is one. Pass "
                "DSink(index_from=...), or wrap the training dataset in `lt_callbacks.data.add_index`."
            )
        return None

    def _is_third(self, module: Any) -> bool:
        loader = getattr(getattr(module, "_trainer", None), "train_dataloader", None)
        # Asked in every step.
        if loader is not self._loader:
            self._loader, self._third_is_index = loader, gives_index(loader)
        return self._third_is_index

    @staticmethod
    def _tensor(batch: Any, place: Any, argument: str) -> Tensor:
        found = get_field(batch, place)
        if not isinstance(found, Tensor):
            raise StateError(
                f"`{argument}` must name a tensor in the batch; {place!r} gives {type(found).__name__}. "
                f"The batch is {describe_batch(batch)}."
            )
        return found
