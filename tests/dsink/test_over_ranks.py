"""Steps of several ranks are those of one process with the whole batch."""

from __future__ import annotations

import pytest
import torch
from dsink_rank_workers import (
    ALPHA,
    FIXED,
    SETTINGS,
    SHARES,
    WAYS,
    labeler_worker,
    make_batches,
    own_rows,
    steps,
)
from spawned_ranks import group_of_one, run_ranks
from teacher_batches import predictions

from lt_callbacks.dsink import MeanLabeler, ProxyLabeler
from lt_callbacks.transport import held_rows


@pytest.mark.parametrize("way", [*WAYS, None])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_group_of_one_changes_nothing(name, way, monkeypatch):
    monkeypatch.setattr(held_rows, "FORCED", way)
    inputs = predictions(12, 4)
    inputs[1][5] = torch.nan
    alone = vars(ProxyLabeler(**SETTINGS[name])(*inputs))
    with group_of_one() as group:
        grouped = vars(ProxyLabeler(**SETTINGS[name])(*inputs, process_group=group))
    torch.testing.assert_close(grouped, alone, atol=0, rtol=0)


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def ranks(request, tmp_path_factory):
    """Three batches of 20, and what each of two and of three processes made of its share."""
    folder = tmp_path_factory.mktemp(f"ranks_{request.param}")
    batches = make_batches()
    torch.save(batches, folder / "batches.pt")
    run_ranks(labeler_worker, folder, num_ranks=request.param)
    return batches, [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(request.param)]


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "local"])
def test_ranks_are_one_process_with_the_whole_batch(ranks, name, way):
    batches, results = ranks
    whole = steps(SETTINGS[name], batches, slice(None), None)
    for shares, lengths in SHARES[len(results)].items():
        for step, expected in enumerate(whole["steps"]):
            got = [rank[f"{way}_{name}_{shares}"]["steps"][step] for rank in results]
            labels = torch.cat([each["labels"] for each in got])
            # Ranks that keep their own rows sweep in another way, and stop at another point within the tolerance.
            is_other_way = name == "tolerant" and way == "reduce"
            close = {"atol": 5e-3, "rtol": 0} if is_other_way else {"atol": 1e-5, "rtol": 1e-5}
            torch.testing.assert_close(labels, expected["labels"], **close)
            for each in got:
                torch.testing.assert_close(each["gradient"], expected["gradient"], **close)
                torch.testing.assert_close(each["error"], expected["error"], **close)
                assert torch.equal(each["num_nonfinite"], expected["num_nonfinite"])
                assert int(each["iterations"]) == int(got[0]["iterations"])
                if name == "tolerant" and not is_other_way:
                    # At a tolerance of 0 rounding decides which sweep hits it.
                    assert int(each["iterations"]) == int(expected["iterations"])
            assert torch.equal(torch.cat([each["is_nonfinite"] for each in got]), expected["is_nonfinite"])
            assert [len(each["labels"]) for each in got] == list(lengths)
            assert [each["loss_scale"] for each in got] == pytest.approx([len(lengths) * n / 20 for n in lengths])
        for rank in results:
            torch.testing.assert_close(rank[f"{way}_{name}_{shares}"]["state"], whole["state"], atol=1e-5, rtol=1e-5)


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["running", "queue"])
def test_what_is_remembered_is_the_same_on_all_ranks_to_the_last_bit(ranks, name, way):
    _, results = ranks
    for shares in SHARES[len(results)]:
        first, *others = [rank[f"{way}_{name}_{shares}"]["state"] for rank in results]
        assert first["class_marginal"].keys() == ({"average"} if name == "running" else set())
        assert [len(batch) for batch in first["queue"]] == ([20, 20] if name == "queue" else [])
        for other in others:
            torch.testing.assert_close(other, first, atol=0, rtol=0, equal_nan=True)


@pytest.mark.ddp
def test_rows_travel_only_where_they_must(ranks):
    _, results = ranks
    for rank in results:
        assert rank["gather_gathers"] == {name: int(name != "local") for name in SETTINGS}
        # The state of a queue must be the whole batches'.
        assert rank["reduce_gathers"] == {name: int(name == "queue") for name in SETTINGS}
        # Small batches gather, but for the labels that take no sweeps.
        assert rank["small_gathers"] == {name: int(name not in ("local", "none")) for name in SETTINGS}
        assert rank["large_gathers"] == {name: int(name == "queue") for name in SETTINGS}


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
def test_the_mean_of_the_teachers_has_its_error_over_all_ranks(ranks, way):
    batches, results = ranks
    whole = MeanLabeler()(*(batches[0][key] for key in ("noise", "noise", "imbalance")))
    for shares in SHARES[len(results)]:
        got = [rank[f"{way}_mean_{shares}"] for rank in results]
        torch.testing.assert_close(torch.cat([each["labels"] for each in got]), whole.labels, atol=1e-6, rtol=0)
        for each in got:
            torch.testing.assert_close(each["error"], whole.marginal_error, atol=1e-6, rtol=0)


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
def test_ranks_without_a_usable_row_give_zeros(ranks, way):
    _, results = ranks
    for rank in results:
        for what, num_rows in (("bad", 2), ("no", 0)):
            got = rank[f"{way}_{what}_rows"]
            assert torch.equal(got["labels"], torch.zeros(num_rows, 5))
            assert float(got["error"]) == 0
            assert got["num_nonfinite"].tolist() == [num_rows * len(results)] * 2


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_over_ranks_is_the_global_mean(ranks, way):
    """Against the formula itself: alpha (p - Q) / N through the weights, N the samples of all ranks."""
    batches, results = ranks
    batch = batches[0]
    p = (batch["images"] @ batch["weights"]).softmax(1)
    for shares in SHARES[len(results)]:
        labels = torch.cat([rank[f"{way}_batch_{shares}"]["steps"][0]["labels"] for rank in results])
        expected = batch["images"].T @ (ALPHA * (p - labels) / 20)
        for rank in results:
            got = rank[f"{way}_batch_{shares}"]["steps"][0]["gradient"]
            torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.ddp
@pytest.mark.parametrize("way", WAYS)
def test_local_scope_solves_each_rank_alone_but_counts_together(ranks, way):
    batches, results = ranks
    for shares, lengths in SHARES[len(results)].items():
        whole = ProxyLabeler(**FIXED)
        for step, batch in enumerate(batches):
            logits = batch["images"] @ batch["weights"]
            inputs = (logits, batch["noise"], batch["imbalance"])
            together = whole(*inputs)
            for rank, length in enumerate(lengths):
                own = own_rows(lengths, rank)
                got = results[rank][f"{way}_local_{shares}"]["steps"][step]
                alone = ProxyLabeler(**FIXED)(*(part[own] for part in inputs))
                torch.testing.assert_close(got["labels"], alone.labels, atol=1e-6, rtol=0)
                if 0 < length < 20:
                    assert not torch.allclose(got["labels"], together.labels[own], atol=1e-2)
                assert got["loss_scale"] == 1.0
                # A rank that raised alone would leave the other one waiting.
                assert torch.equal(got["num_nonfinite"], together.num_nonfinite)
