"""How many examples the properties get: a few, always the same, in the ordinary tests; many new ones in all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No deadline: no test may depend on how busy the machine is. No database: nothing is left behind.
COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile("ordinary", max_examples=10, derandomize=True, **COMMON)
settings.register_profile("thorough", max_examples=200, print_blob=True, **COMMON)


def pytest_pycollect_makemodule(module_path, parent):
    """Before a file of this folder is imported: what is decorated in it takes the profile of that moment."""
    is_ordinary = "not slow" in parent.config.option.markexpr
    settings.load_profile("ordinary" if is_ordinary else "thorough")


def pytest_terminal_summary(terminalreporter):
    """Says how many calls were made and how many of them refused by name; with several workers each counts alone."""
    from outcomes import COUNTS

    if COUNTS:
        terminalreporter.write_line(", ".join(f"{number} {what}" for what, number in COUNTS.items()))
