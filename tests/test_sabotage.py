"""Small breakages of the package, each of which a named test must notice.

The breakages are listed in breakages/, in files by rooms. Each is applied to a copy of the package; the test that
it names runs against the copy and has to fail.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from breakages import BREAKAGES
from patience import PATIENCE

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("name", BREAKAGES)
def test_the_breakage_fits_the_code(name):
    file, text, _, test = BREAKAGES[name]
    assert (ROOT / "lt_callbacks" / file).read_text().count(text) == 1
    path, _, function = test.partition("::")
    assert function.partition("[")[0] in (ROOT / path).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKAGES)
def test_the_breakage_turns_its_test_red(name, tmp_path):
    file, text, replacement, test = BREAKAGES[name]
    shutil.copytree(ROOT / "lt_callbacks", tmp_path / "lt_callbacks", ignore=shutil.ignore_patterns("__pycache__"))
    broken = tmp_path / "lt_callbacks" / file
    broken.write_text(broken.read_text().replace(text, replacement))
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lt_callbacks, pytest\n"
        f"if not lt_callbacks.__file__.startswith({str(tmp_path)!r}): sys.exit(99)\n"
        f"sys.exit(pytest.main(['-q', '-x', '-p', 'no:cacheprovider', {test!r}]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, env=environment)
    # 1 is pytest's code for failed tests; an import error or an unknown test would be another.
    assert finished.returncode == 1, finished.stdout[-2000:] + finished.stderr[-2000:]
