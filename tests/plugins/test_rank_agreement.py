from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import small_modules as m
import torch
from agreement_rank_workers import agreement_worker
from patience import PATIENCE
from spawned_ranks import group_of_one, run_ranks

from lt_callbacks.plugins import RankAgreement


@pytest.mark.parametrize("facts", [None, [("a", 1)], "a=1", 3])
def test_facts_are_a_mapping(facts):
    text = rf"^`facts` must be a mapping of what must agree; got {type(facts).__name__}\.$"
    with pytest.raises(TypeError, match=text):
        RankAgreement(facts)


@pytest.mark.parametrize("value", [torch.zeros(1), {1, 2}, Path("here"), object()])
def test_facts_are_what_json_holds(value):
    text = r"^`facts` must hold only what JSON can .*; got \{'a': \{'b': .*not JSON serializable. Convert the others"
    with pytest.raises(TypeError, match=text):
        RankAgreement({"a": {"b": value}})


def test_facts_that_refer_to_themselves_are_refused():
    facts: dict = {}
    facts["a"] = facts
    with pytest.raises(ValueError, match="^`facts` must hold only what JSON can"):
        RankAgreement(facts)


def test_what_is_changed_later_is_not_what_was_told():
    facts = {"a": {"b": [1]}}
    agreement = RankAgreement(facts)
    facts["a"]["b"].append(2)
    assert agreement.facts == {"a": {"b": [1]}}


def test_one_process_agrees_with_itself():
    m.trainer(callbacks=[RankAgreement({"a": 1})]).fit(m.fresh(m.ReturnsTensor), m.datamodule(2))
    with group_of_one():
        RankAgreement({"a": 1}).setup(None, None, "fit")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """What two ranks raised in each case."""
    folder = tmp_path_factory.mktemp("agreement")
    run_ranks(agreement_worker, folder)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.ddp
@pytest.mark.parametrize("case", ["equal", "tuple_and_list", "empty"])
def test_equal_facts_pass(ranks, case):
    assert [rank[case] for rank in ranks] == [None, None]


@pytest.mark.ddp
@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("nested", "`noise.ratio` must be equal on all ranks of one training; got 0.2 on rank 0, 0.4 on rank 1."),
        ("missing", r"`dsink(\.alpha)?` must be .*; got (3|'nothing') on rank 0, ('nothing'|\{\}) on rank 1\."),
        ("added", r"`trainer\.precision` must be .*; got 'nothing' on rank 0, 'bf16' on rank 1\."),
        ("list", r"`methods` must be .*; got \['ce', 'dsink'\] on rank 0, \['dsink', 'ce'\] on rank 1\."),
        ("null", r"`store` must be .*; got None on rank 0, 'here' on rank 1\."),
        ("number_and_text", r"`seed` must be .*; got 1 on rank 0, '1' on rank 1\."),
    ],
    ids=["nested", "missing", "added", "list", "null", "number_and_text"],
)
def test_what_differs_is_named_with_both_values_on_both_ranks(ranks, case, told):
    assert ranks[0][case] == ranks[1][case]
    assert re.match(told, ranks[0][case])
    assert ranks[0][case].endswith(
        "Give every rank the same settings: start each job as one process, which starts its own ranks, and sweep with "
        "`lt-train -m`, which does."
    )


@pytest.mark.ddp
@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("more", "3 on rank 0, 5 on rank 1"),
        ("fewer", "5 on rank 0, 3 on rank 1"),
        ("unknown", "an unknown number on rank 0, 4 on rank 1"),
    ],
)
def test_numbers_of_batches_that_differ_are_told_on_both_ranks(ranks, case, told):
    text = (
        "`train_dataloader` must give as many batches to every rank, since ranks exchange gradients in each step; got "
    )
    for rank in ranks:
        assert rank[f"batches_{case}"].startswith(
            f"{text}batches of an epoch: {told}. Set `Trainer(limit_train_batches=N)`"
        )
        assert rank["batches_same"] is rank["batches_both_unknown"] is None


def fit_on_two_ranks(folder: Path, form: str, differs: str) -> list[dict]:
    script = Path(__file__).with_name("agreement_ddp_script.py")
    command = [sys.executable, str(script), form, differs, str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    files = [folder / f"{rank}.json" for rank in range(2)]
    assert all(file.exists() for file in files), finished.stderr[-3000:]
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "differs", "told"),
    [
        ("callback", "alpha", r"`dsink\.alpha` must be equal .*; got 3\.0 on rank 0, 4\.0 on rank 1\."),
        ("mixin", "alpha", r"`dsink\.alpha` must be equal .*; got 3\.0 on rank 0, 4\.0 on rank 1\."),
        (
            "callback",
            "imbalance_teacher",
            r"`dsink\.imbalance_teacher` must be equal .*; got '(\w{64})' on rank 0, '(?!\1)\w{64}' on rank 1\.",
        ),
        ("callback", "manifest", r"`manifest` must be equal .*; got '0{64}' on rank 0, '1{64}' on rank 1\."),
        ("mixin", "facts", r"`job\.seed` must be equal .*; got 0 on rank 0, 1 on rank 1\."),
    ],
    ids=["callback-alpha", "mixin-alpha", "callback-teacher", "callback-manifest", "facts"],
)
def test_ranks_that_differ_do_not_train(tmp_path, form, differs, told):
    ranks = fit_on_two_ranks(tmp_path, form, differs)
    assert ranks[0] == ranks[1]
    assert ranks[0]["num_steps"] == 0
    assert re.match(f"ArgumentValueError: {told}", ranks[0]["error"])


@pytest.mark.ddp
@pytest.mark.slow
def test_ranks_that_agree_train(tmp_path):
    ranks = fit_on_two_ranks(tmp_path, "callback", "nothing")
    assert [rank["error"] for rank in ranks] == [None, None]
    # Four batches, shared out.
    assert [rank["num_steps"] for rank in ranks] == [2, 2]
