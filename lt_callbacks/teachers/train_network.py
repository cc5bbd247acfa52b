from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

import torch
from torch import nn

from lt_callbacks.teachers.description import TrainingDescription
from lt_callbacks.teachers.isolated_seed import isolated_seed
from lt_callbacks.teachers.store import TeacherStore

ModuleT = TypeVar("ModuleT", bound=nn.Module)
OutcomeT = TypeVar("OutcomeT")


@dataclass(frozen=True)
class TrainedNetwork(Generic[ModuleT, OutcomeT]):
    """A network that `train_network` trained, or found in a store.

    Attributes:
        module: The module that was made, with trained weights in the dtypes that it was made with.
        is_reused: Whether the weights came from the store.
        outcome: What the training returned; None where there was none.
    """

    module: ModuleT
    is_reused: bool
    outcome: OutcomeT | None


def train_network(
    make: Callable[[], ModuleT],
    train: Callable[[ModuleT], OutcomeT],
    *,
    description: TrainingDescription,
    store: TeacherStore | None,
    stored_part: Callable[[ModuleT], nn.Module] | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> TrainedNetwork[ModuleT, OutcomeT]:
    """A trained network: from the store where an equal one is kept, otherwise made from its seed, trained and stored.

    The seed holds for the making and the training alike, so that dropout and the like go on from where the first
    weights were drawn. The caller's random state is left as it was.

    Args:
        make: Makes the module with random weights from the global generators.
        train: Trains the module in place, on whichever devices; what it returns is the outcome.
        description: All that the trained weights depend on; its ``start_seed`` is where the generators start. Without
            an identity of the data nothing is looked up or kept.
        store: Where to look and to keep; None: nowhere.
        stored_part: The part of the module that is kept; None: all of it.
        on_wait: Told once who trains the network, where another job does.

    Raises:
        ValueError: A stored file is damaged, or holds another architecture.
    """
    outcome: OutcomeT | None = None

    with isolated_seed(description.start_seed):
        module = make()

        def train_in_place(_: nn.Module) -> None:
            nonlocal outcome
            dtypes = {name: tensor.dtype for name, tensor in _tensors(module)}
            outcome = train(module)
            # A trainer of a lower precision leaves weights in it; from the store they would come as they were made.
            for name, tensor in _tensors(module):
                tensor.data = tensor.data.to(dtypes.get(name, tensor.dtype))

        part = module if stored_part is None else stored_part(module)
        is_reused = False
        if store is None or description.data is None:
            train_in_place(part)
        else:
            is_reused = store.get_or_train(
                part,
                settings=description.settings(),
                fingerprint=description.data,
                train=train_in_place,
                on_wait=on_wait,
            )
    return TrainedNetwork(module=module, is_reused=is_reused, outcome=outcome)


def _tensors(module: nn.Module) -> chain[tuple[str, torch.Tensor]]:
    return chain(module.named_parameters(), module.named_buffers())
