import json
import sys
from pathlib import Path

import pytest
from warm_processes import run_ranks_of

SCRIPT = Path(__file__).with_name("fifty_steps_script.py")


def differences(num_ranks, *cases):
    first, *others = run_ranks_of([sys.executable, str(SCRIPT), str(num_ranks), *cases], num_ranks=num_ranks)
    lines = [line for line in first.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, first.stderr[-3000:]
    assert [other.returncode for other in others] == [0] * (num_ranks - 1), others[0].stderr[-3000:]
    return json.loads(lines[0].removeprefix("RESULT "))


def check(case, found):
    """How far several ranks are from one process with the same global batches."""
    assert found["steps"] == [50, 50]
    assert found["uneven"] >= 8, "the shares must be unequal for this to say anything"
    assert found["batches"], "the global batches must be of equal size"
    assert found["moved"] > 0.1
    assert found["weights"] <= 1e-4
    assert found["memory"] <= 1e-5
    assert found["remembered"] > 30 if case.startswith("elr") else not found["remembered"]
    assert set(found["logged"]) >= {"train/loss", "val/loss", "val/accuracy"}
    assert max(found["logged"].values()) <= 1e-4
    together, alone = found["shots"]
    assert together == alone
    assert set(alone) == {"all", "many", "medium", "few"}
    assert found["tau"][0] == pytest.approx(found["tau"][1], abs=1e-5)
    # Margins on cosines push tau to the end of its range, where it would be equal whatever the logits.
    assert case.startswith("ldam") or -1 < found["tau"][1] < 4


@pytest.mark.ddp
def test_two_ranks_end_where_one_process_does():
    check("elr", differences(2, "elr")["elr"])


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_every_kind_of_training_ends_where_one_process_does(num_ranks):
    found = differences(num_ranks)
    assert set(found) == {
        "cross_entropy",
        "elr",
        "ldam_drw",
        "logit_adjustment",
        "cross_entropy+dsink",
        "elr+class_balanced",
    }
    for case, values in found.items():
        check(case, values)
