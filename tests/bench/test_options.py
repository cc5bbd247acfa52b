import subprocess
import sys

import pytest

from lt_callbacks.bench.options import command_parser

HELP = """
import sys
from lt_callbacks.bench.command import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    assert ended.code == 0
loaded = {"torch", "numpy", "lightning", "hydra", "jax", "matplotlib"} & set(sys.modules)
assert not loaded, loaded
"""


@pytest.mark.parametrize("arguments", [["--help"], ["transport", "--help"], ["training", "--help"]])
def test_help_is_shown_without_loading_what_is_timed(arguments):
    finished = subprocess.run([sys.executable, "-c", HELP, *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("usage: lt-bench")


@pytest.mark.parametrize("number", ["0", "-1"])
def test_a_number_below_one_is_refused(number, tmp_path, capsys):
    with pytest.raises(SystemExit):
        command_parser().parse_args(["transport", "--output", str(tmp_path), "--threads", number])
    assert "must be >= 1" in capsys.readouterr().err
