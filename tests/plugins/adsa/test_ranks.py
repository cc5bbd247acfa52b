from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from adsa_small import distilled_set, hashes
from patience import PATIENCE

from lt_callbacks.distilled_set import DistilledSet, SoftLabels
from lt_callbacks.plugins.adsa.ranks import TrainerRanks


@pytest.fixture
def source(tmp_path):
    distilled_set().save(tmp_path / "in")
    return tmp_path / "in"


class TwoRanks:
    """A trainer of two ranks; the other rank's answer is given."""

    global_rank, world_size = 0, 2

    def __init__(self, *, other_is_well):
        self.strategy = SimpleNamespace(reduce_boolean_decision=lambda decision: decision and other_is_well)


def test_a_failure_on_one_rank_is_one_on_all():
    def fail():
        raise KeyError("own")

    assert TrainerRanks(TwoRanks(other_is_well=True)).together(lambda: 3) == 3
    with pytest.raises(KeyError, match="own"):
        TrainerRanks(TwoRanks(other_is_well=True)).together(fail)
    with pytest.raises(RuntimeError, match="^ADSACallback must succeed on all ranks; another rank failed"):
        TrainerRanks(TwoRanks(other_is_well=False)).together(lambda: 3)


def test_values_are_summed_over_the_ranks_on_their_device():
    values = torch.tensor([1.0, 2.0], dtype=torch.float64)
    strategy = SimpleNamespace(root_device=torch.device("cpu"), reduce=lambda tensor, reduce_op: (reduce_op, tensor))
    trainer = SimpleNamespace(strategy=strategy, global_rank=1, world_size=2)
    ranks = TrainerRanks(trainer)
    assert (ranks.rank, ranks.num_ranks) == (1, 2)
    reduce_op, sent = ranks.total(values)
    assert (reduce_op, sent.tolist()) == ("sum", [1.0, 2.0])
    # Alone there is nobody to ask.
    alone = TrainerRanks(SimpleNamespace(strategy=None, global_rank=0, world_size=1))
    assert alone.total(values) is values


def run_script(folder, *arguments):
    script = Path(__file__).with_name("adsa_ddp_script.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, str(script), str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.ddp
def test_two_ranks_find_the_tau_and_write_the_labels_of_one_process(source):
    folder = source.parent
    before = hashes(source)
    finished = run_script(folder)
    assert "DONE" in finished.stdout, finished.stderr[-3000:]
    assert hashes(source) == before
    for name in ("plain", "mixed"):
        fits = [json.loads((folder / f"{name}-rank-{rank}.json").read_text()) for rank in (0, 1)]
        assert fits[0] == fits[1]
        alone = json.loads((folder / "alone" / f"{name}.json").read_text())
        assert fits[0]["tau"] == pytest.approx(alone["tau"], abs=2e-6)
        assert fits[0]["num_images"] == alone["num_images"]
        assert fits[0]["class_confidence"] == pytest.approx(alone["class_confidence"], abs=1e-6)
        together, single = folder / name, folder / "alone" / name
        assert hashes(together).keys() == hashes(single).keys()
        result, expected = (json.loads((path / "adsa.json").read_text()) for path in (together, single))
        assert result["model_sha256"] == expected["model_sha256"]
        assert result["recognised"] == expected["recognised"]
        assert result["entropy"] == pytest.approx(expected["entropy"], abs=1e-5)
        assert result["alarms"] == expected["alarms"]
        assert DistilledSet.load(together) == distilled_set()
        everything = torch.arange(len(distilled_set()))
        for view in range(3):
            labels = [SoftLabels.open(path / "soft_labels").logits(everything, view) for path in (together, single)]
            # One step of float16 at most, where tau differs in its last bit.
            assert torch.allclose(*labels, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.ddp
def test_a_rank_that_fails_ends_all_of_them_and_nothing_is_finished(source):
    finished = run_script(source.parent, "fail")
    assert finished.returncode != 0
    assert "another rank failed" in finished.stderr or "out of memory, say" in finished.stderr
    output = source.parent / "plain"
    assert (output / "adsa.unfinished.json").exists()
    assert not (output / "adsa.json").exists()
