import json
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE


@pytest.mark.ddp
def test_two_processes_under_lightning_train_like_one_with_the_whole_batch():
    script = Path(__file__).with_name("ddp_script.py")
    finished = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE)
    lines = [line for line in finished.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, finished.stderr[-3000:]
    differences = json.loads(lines[0].removeprefix("RESULT "))
    assert set(differences) == {"mixin", "callback"}
    assert max(differences.values()) <= 1e-5
