import sys
from pathlib import Path

import pytest

# Test files import the helpers that lie beside them.
for folder in Path(__file__).parent.rglob("*"):
    # breakages is a package of its own, one of whose files has the name of a helper.
    if folder.is_dir() and folder.name not in ("__pycache__", "breakages"):
        sys.path.append(str(folder))
sys.path.append(str(Path(__file__).parent))
# Processes that a test spawns import it as `tests....`, which plain `pytest` would not let them find.
sys.path.append(str(Path(__file__).parent.parent))


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """Small problems are faster on one thread, and two workers share two cores."""
    # Here: the process that shares tests out to workers runs none.
    import torch

    torch.set_num_threads(1)


def pytest_configure(config):
    # Found on the path that was made above.
    from failures_at_once import FailuresAtOnce

    config.pluginmanager.register(FailuresAtOnce(config))
