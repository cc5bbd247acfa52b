from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import seed_everything
from lightning.pytorch.utilities.seed import isolate_rng

_SEED_VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")


@contextmanager
def isolated_seed(seed: int) -> Iterator[None]:
    """Seed every global generator for a block, and leave no trace of it.

    Lightning also writes the seed to the environment, from which the ranks of a later fit would be seeded again.
    """
    before = {name: os.environ.get(name) for name in _SEED_VARIABLES}
    with isolate_rng():
        seed_everything(seed, verbose=False)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
