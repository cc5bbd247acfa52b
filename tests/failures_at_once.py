"""A plug-in of pytest that says which test failed when it fails: `-q` alone does so after the last one."""

from __future__ import annotations

import pytest


class FailuresAtOnce:
    """Writes a failed test's name, its error and where it was raised, also of tests in workers of pytest-xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        # Workers have none that anybody reads, and pass their reports on.
        if not report.failed or terminal is None or hasattr(self._config, "workerinput"):
            return
        lines = [line for line in report.longreprtext.splitlines() if line.strip()] or ["nothing was said"]
        error = next((line for line in lines if line.startswith("E ")), lines[-1])
        terminal.ensure_newline()
        terminal.write_line(f"FAILED ({report.when}) {report.nodeid}", red=True)
        terminal.write_line("\n".join(dict.fromkeys([error, lines[-1]])))
