"""Small breakages of the package, each of which a named test must notice.

The breakages are listed in breakages/, in files by rooms. Each is applied to a copy of the package; the test that
it names runs against the copy and has to fail, as it does not without a breakage.
"""

import compileall
import shutil
from importlib.util import cache_from_source
from pathlib import Path

import pytest
from breakages import BREAKAGES
from forked_tests import ForkedTests
from patience import PATIENCE

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "lt_callbacks"


@pytest.mark.parametrize("name", BREAKAGES)
def test_the_breakage_fits_the_code(name):
    file, text, replacement, test = BREAKAGES[name]
    assert (PACKAGE / file).read_text().count(text) == 1
    assert text != replacement
    path, _, function = test.partition("::")
    assert function.partition("[")[0] in (ROOT / path).read_text()


def test_every_room_is_broken_somewhere():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert rooms - {file.partition("/")[0] for file, *_ in BREAKAGES.values()} == set()


@pytest.fixture(scope="module")
def forked():
    tests = ForkedTests(ROOT)
    yield tests
    tests.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with a copy of the package, compiled: each child would otherwise compile what it imports."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(PACKAGE, folder / "lt_callbacks", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder / "lt_callbacks", quiet=2)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted({test.partition("::")[0] for *_, test in BREAKAGES.values()}))
def test_the_named_tests_are_green_without_a_breakage(file, tmp_path, forked, whole):
    """What is red anyhow would notice everything."""
    tests = sorted({test for *_, test in BREAKAGES.values() if test.partition("::")[0] == file})
    code = forked.run(tests, copy=whole, log=tmp_path / "log", patience=PATIENCE)
    assert code == 0, (tmp_path / "log").read_text()[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("name", BREAKAGES)
def test_the_breakage_turns_its_test_red(name, tmp_path, forked, whole):
    file, text, replacement, test = BREAKAGES[name]
    shutil.copytree(whole / "lt_callbacks", tmp_path / "lt_callbacks")
    broken = tmp_path / "lt_callbacks" / file
    broken.write_text(broken.read_text().replace(text, replacement))
    Path(cache_from_source(str(broken))).unlink()
    code = forked.run([test], copy=tmp_path, log=tmp_path / "log", patience=PATIENCE)
    # 1 is pytest's code for failed tests; an import error or an unknown test would be another.
    assert code == 1, f"exit code {code}\n{(tmp_path / 'log').read_text()[-3000:]}"
