import json
import sys
from pathlib import Path

import pytest
from warm_processes import run_ranks_of


@pytest.mark.ddp
def test_two_processes_under_lightning_train_like_one_with_the_whole_batch():
    script = Path(__file__).with_name("ddp_script.py")
    first, second = run_ranks_of([sys.executable, str(script)])
    lines = [line for line in first.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, first.stderr[-3000:]
    assert second.returncode == 0, second.stderr[-3000:]
    differences = json.loads(lines[0].removeprefix("RESULT "))
    assert set(differences) == {"mixin", "callback"}
    assert max(differences.values()) <= 1e-5
