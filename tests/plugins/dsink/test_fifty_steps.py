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


@pytest.fixture(scope="module")
def two_ranks():
    return differences(2, "elr", "ldam_drw+thresholds")


@pytest.mark.ddp
def test_two_ranks_end_where_one_process_does(two_ranks):
    check("elr", two_ranks["elr"])


def check_thresholds(found, *, num_epochs, first_weighted):
    """In each step, on each rank as in one process: whether classes are weighted, and D-SINK's alpha."""
    assert len({json.dumps(begun) for begun in found["begun"]}) == 1
    by_epoch = {epoch: (is_weighted, alpha) for epoch, is_weighted, alpha in found["begun"][0]}
    assert len(found["begun"][0]) == 50
    # alpha = 2 after three epochs in which it rises.
    alphas = [0.0, pytest.approx(2 / 3), pytest.approx(4 / 3), *[2.0] * (num_epochs - 3)]
    assert by_epoch == {epoch: (epoch >= first_weighted, alphas[epoch]) for epoch in range(num_epochs)}


@pytest.mark.ddp
def test_what_begins_at_an_epoch_begins_at_that_one_on_two_ranks_as_on_one(two_ranks):
    found = two_ranks["ldam_drw+thresholds"]
    check("ldam_drw+thresholds", found)
    # 9 epochs of 6 steps; the weights act after 0.4 of them, 3.6.
    check_thresholds(found, num_epochs=9, first_weighted=4)


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
        "ldam_drw+thresholds",
    }
    for case, values in found.items():
        check(case, values)
    epochs = {2: (9, 4), 3: (13, 5)}[num_ranks]
    check_thresholds(found["ldam_drw+thresholds"], num_epochs=epochs[0], first_weighted=epochs[1])
