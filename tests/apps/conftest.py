import importlib

import pytest

# Both say how far a phase is when so many seconds have gone by.
MODULES = ("lt_callbacks.apps.shared.progress", "lt_callbacks.apps.train.cached_teachers")


@pytest.fixture(autouse=True, scope="session")
def _no_line_is_shown_because_the_machine_is_slow():
    """Lines within a training depend on the clock; a test that is about them sets the seconds itself."""
    with pytest.MonkeyPatch.context() as patched:
        for name in MODULES:
            patched.setattr(importlib.import_module(name), "_SECONDS_BETWEEN_LINES", float("inf"))
        yield
