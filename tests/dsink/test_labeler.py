from __future__ import annotations

import copy

import pytest
import torch
import triton_interpreter
from dsink_rank_workers import (
    ALPHA,
    FIXED,
    SAME_SWEEPS,
    SETTINGS,
    SHARES,
    WAYS,
    labeler_worker,
    one_launch_worker,
    own_rows,
    steps,
)
from spawned_ranks import group_of_one, run_ranks
from teacher_batches import predictions

from lt_callbacks.dsink import MeanLabeler, ProxyLabeler, proxy_label_loss, proxy_labels
from lt_callbacks.transport import fused
from lt_callbacks.transport import ranks as ways


def test_labels_are_those_of_the_function():
    student, noise, imbalance = predictions(32, 6)
    got = ProxyLabeler(student_weight=0.3, tolerance=1e-5, max_iterations=300)(student, noise, imbalance)
    expected = proxy_labels(
        student, noise, imbalance.exp().sum(0), student_weight=0.3, tolerance=1e-5, max_iterations=300
    )
    torch.testing.assert_close(got.labels, expected.plan)
    torch.testing.assert_close(got.marginal_error, expected.marginal_error, atol=1e-7, rtol=0)
    assert got.iterations == expected.iterations
    assert got.loss_scale == 1.0
    assert got.known is None


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_model_of_no_weight_has_no_say(weight):
    student, noise, imbalance = predictions(32, 6)
    other = {"student": -student, "noise": noise.flip(0)}
    first = ProxyLabeler(student_weight=weight)(student, noise, imbalance)
    second = ProxyLabeler(student_weight=weight)(
        *((other["student"], noise) if weight == 0 else (student, other["noise"])), imbalance
    )
    torch.testing.assert_close(first.labels, second.labels)


def test_minus_infinity_is_a_prediction_like_any_other():
    student, noise, imbalance = predictions(12, 4)
    noise[0, 1] = imbalance[2, 3] = student[5, 0] = -torch.inf
    got = ProxyLabeler()(student, noise.log_softmax(1), imbalance.log_softmax(1))
    assert got.num_nonfinite.tolist() == [0, 0]
    assert bool(torch.isfinite(got.labels).all())
    assert got.labels[0, 1] == got.labels[5, 0] == 0
    torch.testing.assert_close(got.labels.sum(1), torch.ones(12))


@pytest.mark.parametrize(("kind", "expected"), [("uniform", "uniform"), ("student", "student"), ("batch", "teacher")])
def test_columns_meet_the_marginal_asked_for(kind, expected):
    student, noise, imbalance = predictions(64, 5, scale=1.0)
    targets = {
        "uniform": torch.full((5,), 64 / 5),
        "student": student.softmax(1).sum(0),
        "teacher": imbalance.exp().sum(0),
    }
    labels = ProxyLabeler(class_marginal=kind, tolerance=1e-5, max_iterations=500)(student, noise, imbalance).labels
    torch.testing.assert_close(labels.sum(0), targets[expected], atol=2e-3, rtol=0)


def test_none_leaves_rows_alone_and_still_measures_the_error():
    student, noise, imbalance = predictions(16, 5)
    got = ProxyLabeler(class_marginal="none")(student, noise, imbalance)
    expected = (0.5 * (student.log_softmax(1) + noise)).softmax(1)
    torch.testing.assert_close(got.labels, expected)
    error = (expected.sum(0) - imbalance.exp().sum(0)).abs().sum() / 16
    torch.testing.assert_close(got.marginal_error, error)
    assert int(got.iterations) == 0


@pytest.mark.parametrize("kind", ["batch", "running", "uniform", "student", "none"])
@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
@pytest.mark.parametrize("model", [0, 1, 2])
def test_rows_of_a_model_that_is_not_finite_are_zero_and_out_of_the_marginal(kind, poison, model):
    inputs = list(predictions(20, 5))
    inputs[model][4, 2] = inputs[model][11, 0] = poison
    kept = torch.tensor([i for i in range(20) if i not in (4, 11)])
    got = ProxyLabeler(class_marginal=kind, **FIXED)(*inputs)
    alone = ProxyLabeler(class_marginal=kind, **FIXED)(*(part[kept] for part in inputs))
    assert bool((got.labels[[4, 11]] == 0).all())
    torch.testing.assert_close(got.labels[kept], alone.labels, atol=1e-5, rtol=0)
    torch.testing.assert_close(got.marginal_error, alone.marginal_error, atol=1e-5, rtol=0)
    # Only teachers are reported: the loss itself shows a model in training that is not finite.
    bad = [2 * int(model == teacher) for teacher in (1, 2)]
    assert got.num_nonfinite.tolist() == bad
    assert got.is_nonfinite.sum(0).tolist() == bad
    assert got.is_nonfinite[4].tolist() == [model == 1, model == 2]


def test_both_teachers_are_counted_where_both_are_not_finite():
    student, noise, imbalance = predictions(6, 3)
    noise[1] = imbalance[1] = imbalance[2] = torch.nan
    noise[3] = -torch.inf  # no class at all is no distribution either
    got = ProxyLabeler()(student, noise, imbalance)
    assert got.num_nonfinite.tolist() == [2, 2]
    assert got.num_nonfinite.dtype == torch.int64
    assert got.is_nonfinite.tolist() == [[False, False], [True, True], [False, True], [True, False], *[[False] * 2] * 2]


@pytest.mark.parametrize("kind", ["batch", "running", "uniform", "student", "none"])
@pytest.mark.parametrize("queue_batches", [0, 2])
def test_a_batch_without_a_usable_row_gives_zeros_and_no_gradient(kind, queue_batches):
    student, noise, imbalance = predictions(6, 3)
    labeler = ProxyLabeler(class_marginal=kind, queue_batches=queue_batches, **FIXED)
    for _ in range(2):
        got = labeler(student, torch.full_like(noise, torch.nan), imbalance)
        assert bool((got.labels == 0).all())
        assert float(got.marginal_error) == 0
        assert got.num_nonfinite.tolist() == [6, 0]
    logits = student.clone().requires_grad_()
    loss = proxy_label_loss(logits, got.labels)
    loss.backward()
    assert loss.item() == 0
    assert bool((logits.grad == 0).all())
    # What follows is as if those batches had not been.
    fresh = ProxyLabeler(class_marginal=kind, queue_batches=queue_batches, **FIXED)
    torch.testing.assert_close(labeler(student, noise, imbalance).labels, fresh(student, noise, imbalance).labels)


def test_an_empty_batch_is_no_trouble():
    got = ProxyLabeler(queue_batches=2, class_marginal="running")(*(part[:0] for part in predictions(4, 3)))
    assert got.labels.shape == (0, 3)
    assert float(got.marginal_error) == 0
    assert got.num_nonfinite.tolist() == [0, 0]


@pytest.mark.parametrize("num_rows", [1, 2])
def test_tiny_batches_with_absent_classes(num_rows):
    student, noise, _ = predictions(num_rows, 4)
    imbalance = torch.full((num_rows, 4), -torch.inf)
    imbalance[:, 1] = 0.0
    labels = ProxyLabeler()(student, noise, imbalance).labels
    torch.testing.assert_close(labels, torch.tensor([[0.0, 1.0, 0.0, 0.0]]).expand(num_rows, 4))


def test_logits_of_1e4_stay_finite():
    student, noise, imbalance = predictions(32, 6, scale=1e4)
    got = ProxyLabeler()(student, noise, imbalance)
    assert bool(torch.isfinite(got.labels).all())
    assert bool(torch.isfinite(proxy_label_loss(student, got.labels)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("kind", ["batch", "none"])
def test_dtypes(dtype, kind):
    inputs = predictions(32, 6, dtype=dtype)
    got = ProxyLabeler(class_marginal=kind)(*inputs)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    expected = ProxyLabeler(class_marginal=kind)(*(part.to(wide) for part in inputs))
    assert got.labels.dtype == got.marginal_error.dtype == wide
    assert torch.equal(got.labels, expected.labels)


def test_autocast_changes_nothing():
    inputs = predictions(32, 6)
    expected = ProxyLabeler()(*inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = ProxyLabeler()(*inputs)
    assert torch.equal(got.labels, expected.labels)
    assert torch.equal(got.marginal_error, expected.marginal_error)


def test_nothing_has_a_graph():
    student, noise, imbalance = (part.requires_grad_() for part in predictions(6, 3))
    for labeler in (ProxyLabeler(), ProxyLabeler(class_marginal="none"), ProxyLabeler(queue_batches=1)):
        for value in vars(labeler(student, noise, imbalance)).values():
            assert not isinstance(value, torch.Tensor) or not value.requires_grad


def test_the_inputs_are_left_as_they_are():
    inputs = predictions(6, 3)
    inputs[1][2] = torch.nan
    before = [part.clone() for part in inputs]
    ProxyLabeler(queue_batches=1)(*inputs)
    for part, expected in zip(inputs, before, strict=True):
        torch.testing.assert_close(part, expected, equal_nan=True)


def test_queued_batches_join_the_transport_but_not_the_answer():
    batches = [predictions(8, 4, seed=seed) for seed in range(4)]
    labeler = ProxyLabeler(queue_batches=2, **FIXED)
    alone = ProxyLabeler(**FIXED)(*batches[0])
    torch.testing.assert_close(labeler(*batches[0]).labels, alone.labels)
    for last in (1, 2, 3):
        # The present batch comes first, then the two before it, oldest first; the fourth has pushed out the first.
        joint = [batches[last], *batches[max(last - 2, 0) : last]]
        expected = ProxyLabeler(**FIXED)(*(torch.cat(parts) for parts in zip(*joint, strict=True)))
        got = labeler(*batches[last])
        assert got.labels.shape == (8, 4)
        torch.testing.assert_close(got.labels, expected.labels[:8], atol=1e-5, rtol=0)
        torch.testing.assert_close(got.marginal_error, expected.marginal_error, atol=1e-5, rtol=0)
        assert not torch.allclose(got.labels, ProxyLabeler(**FIXED)(*batches[last]).labels, atol=1e-3)


def test_masked_rows_stay_masked_in_the_queue():
    first, second = predictions(8, 4, seed=0), predictions(8, 4, seed=1)
    first[1][3] = torch.nan
    labeler, clean = (ProxyLabeler(queue_batches=1, **FIXED) for _ in range(2))
    labeler(*first)
    kept = torch.arange(8) != 3
    clean(*(part[kept] for part in first))
    torch.testing.assert_close(labeler(*second).labels, clean(*second).labels, atol=1e-5, rtol=0)


@pytest.mark.parametrize("settings", [{"class_marginal": "running"}, {"queue_batches": 2}])
def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(settings, tmp_path):
    batches = [predictions(8, 4, seed=seed) for seed in range(6)]
    straight = ProxyLabeler(**settings)
    for batch in batches[:3]:
        straight(*batch)
    torch.save(straight.state_dict(), tmp_path / "state.pt")
    resumed = ProxyLabeler(**settings)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert not torch.equal(ProxyLabeler(**settings)(*batches[3]).labels, copy.deepcopy(straight)(*batches[3]).labels)
    for batch in batches[3:]:
        assert torch.equal(resumed(*batch).labels, straight(*batch).labels)


def test_a_saved_state_is_not_changed_by_later_steps():
    labeler = ProxyLabeler(class_marginal="running", queue_batches=1)
    labeler(*predictions(8, 4))
    state = labeler.state_dict()
    before = copy.deepcopy(state)
    labeler(*predictions(8, 4, seed=1))
    torch.testing.assert_close(state, before)


def test_a_shorter_queue_takes_the_newest_of_a_saved_one():
    batches = [predictions(8, 4, seed=seed) for seed in range(4)]
    long, short = ProxyLabeler(queue_batches=3), ProxyLabeler(queue_batches=1)
    for batch in batches[:3]:
        long(*batch)
        short(*batch)
    resumed = ProxyLabeler(queue_batches=1)
    resumed.load_state_dict(long.state_dict())
    assert torch.equal(resumed(*batches[3]).labels, short(*batches[3]).labels)


def test_a_queue_of_another_dtype_follows_the_batch():
    labeler = ProxyLabeler(queue_batches=2)
    for seed, dtype in enumerate([torch.float32, torch.float64, torch.float32, torch.float32]):
        assert labeler(*predictions(8, 4, seed=seed, dtype=dtype)).labels.dtype == dtype


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_state_loaded_on_the_cpu_is_continued_on_the_gpu():
    labeler = ProxyLabeler(queue_batches=2, class_marginal="running")
    labeler(*predictions(8, 4))
    for seed in (1, 2, 3):
        got = labeler(*(part.cuda() for part in predictions(8, 4, seed=seed)))
        assert got.labels.is_cuda


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"student_weight": 1.5}, ValueError, "`student_weight` must be a finite number >= 0 and <= 1; got 1.5"),
        ({"class_marginal": "batches"}, ValueError, "`class_marginal` must be one of"),
        ({"queue_batches": -1}, ValueError, "`queue_batches` must be an integer >= 0; got -1"),
        ({"queue_batches": 1.0}, TypeError, "`queue_batches` must be an integer >= 0; got 1.0"),
        ({"scope": "node"}, ValueError, "`scope` must be one of 'global', 'local'; got 'node'"),
        ({"max_iterations": 0}, ValueError, "`max_iterations` must be an integer >= 1; got 0"),
        ({"tolerance": -1e-3}, ValueError, "`tolerance` must be a finite number >= 0; got -0.001"),
    ],
)
def test_settings_out_of_range_are_refused(settings, error, text):
    with pytest.raises(error, match=text):
        ProxyLabeler(**settings)


@pytest.mark.parametrize("way", [*WAYS, None])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_group_of_one_changes_nothing(name, way, monkeypatch):
    monkeypatch.setattr(ways, "FORCED", way)
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
    generator = torch.Generator().manual_seed(0)
    batches = []
    for seed in range(3):
        _, noise, imbalance = predictions(20, 5, seed=seed)
        images, weights = torch.randn(20, 8, generator=generator), torch.randn(8, 5, generator=generator)
        batches.append({"images": images, "weights": weights, "noise": noise, "imbalance": imbalance})
    # In the second step a teacher fails on each rank, in the third the other one on one rank.
    batches[1]["noise"][15] = torch.nan
    batches[1]["imbalance"][2] = torch.nan
    batches[2]["imbalance"][[16, 19]] = torch.inf
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


def poisoned(dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """A batch in which each model fails once and rules a class out once."""
    inputs = predictions(20, 5, dtype=dtype)
    for model, rows in enumerate(inputs):
        rows[3 + model, 2] = torch.nan
        rows[9 + model, 1] = -torch.inf
    return inputs


ONE_LAUNCH = {
    "batch": (predictions(32, 6), {}),
    "weight": (predictions(32, 6), {"student_weight": 0.2}),
    "uniform": (predictions(32, 6), {"class_marginal": "uniform"}),
    "poisoned": (poisoned(), {}),
    "poisoned-uniform": (poisoned(), {"class_marginal": "uniform"}),
    "bfloat16": (poisoned(torch.bfloat16), {}),
    "float16": (predictions(32, 6, dtype=torch.float16), {}),
    "mixed": ((predictions(32, 6)[0].bfloat16(), *predictions(32, 6)[1:]), {}),
    "masked": ((predictions(6, 3)[0], torch.full((6, 3), torch.nan), predictions(6, 3)[2]), {}),
    "empty": (tuple(part[:0] for part in predictions(6, 3)), {}),
}
STEP_BY_STEP = {
    "running": (predictions(8, 4), {"class_marginal": "running"}),
    "student": (predictions(8, 4), {"class_marginal": "student"}),
    "none": (predictions(8, 4), {"class_marginal": "none"}),
    "queue": (predictions(8, 4), {"queue_batches": 1}),
    "float64": (predictions(8, 4, dtype=torch.float64), {}),
    "wide": (predictions(8, 600), {}),
}


@pytest.fixture(scope="module")
def in_one_launch(tmp_path_factory):
    calls = {
        name: ("label", inputs, {**SAME_SWEEPS, **settings})
        for name, (inputs, settings) in {**ONE_LAUNCH, **STEP_BY_STEP}.items()
    }
    return triton_interpreter.answers(calls, tmp_path_factory.mktemp("one_launch"))


@pytest.mark.parametrize("name", [*ONE_LAUNCH, *STEP_BY_STEP])
def test_one_launch_gives_what_the_steps_give(in_one_launch, name):
    inputs, settings = {**ONE_LAUNCH, **STEP_BY_STEP}[name]
    got = in_one_launch[name]
    expected = triton_interpreter.answer(("label", inputs, {**SAME_SWEEPS, **settings}))
    assert got["is_known"] == (name in ONE_LAUNCH)
    assert not expected["is_known"]
    assert got.keys() == expected.keys()
    half = {"atol": 1e-3, "rtol": 1e-2} if inputs[0].dtype != torch.float32 else {"atol": 2e-5, "rtol": 1e-4}
    for key in ("labels", "loss", "gradient"):
        close = half if key == "gradient" else {"atol": 2e-5, "rtol": 1e-4}
        torch.testing.assert_close(
            got[key], expected[key], equal_nan=True, **close, msg=lambda text, key=key: f"{key}: {text}"
        )
    torch.testing.assert_close(got["marginal_error"], expected["marginal_error"], atol=3e-6, rtol=0)
    for key in ("num_nonfinite", "is_nonfinite"):
        assert torch.equal(got[key], expected[key])
    assert got["loss_scale"] == expected["loss_scale"]


@pytest.mark.ddp
def test_one_launch_over_ranks_is_one_process_with_the_whole_batch(ranks, tmp_path, monkeypatch):
    batches, results = ranks
    num_ranks = len(results)
    torch.save(batches, tmp_path / "batches.pt")
    # The processes import Triton anew.
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    run_ranks(one_launch_worker, tmp_path, num_ranks=num_ranks)
    got = [torch.load(tmp_path / f"one_launch{rank}.pt", weights_only=True) for rank in range(num_ranks)]
    close = {"atol": 2e-5, "rtol": 1e-4}
    for shares, lengths in SHARES[num_ranks].items():
        for name in ("tolerant",):
            whole = steps({**SETTINGS[name], **SAME_SWEEPS}, batches, slice(None), None)
            for step, expected in enumerate(whole["steps"]):
                each = [rank[f"{name}_{shares}"]["steps"][step] for rank in got]
                torch.testing.assert_close(torch.cat([one["labels"] for one in each]), expected["labels"], **close)
                for one in each:
                    torch.testing.assert_close(one["gradient"], expected["gradient"], **close)
                    assert torch.equal(one["num_nonfinite"], expected["num_nonfinite"])
                    assert torch.equal(one["error"], each[0]["error"])
                assert torch.equal(torch.cat([one["is_nonfinite"] for one in each]), expected["is_nonfinite"])
        for rank, length in enumerate(lengths):
            for step, batch in enumerate(batches):
                one = got[rank][f"local_{shares}"]["steps"][step]
                own = own_rows(lengths, rank)
                inputs = (batch["images"] @ batch["weights"], batch["noise"], batch["imbalance"])
                alone = ProxyLabeler(**SAME_SWEEPS)(*(part[own] for part in inputs))
                torch.testing.assert_close(one["labels"], alone.labels, **close)
                assert len(one["labels"]) == length
                assert one["loss_scale"] == 1.0
                assert int(one["num_nonfinite"].sum()) == int(ProxyLabeler()(*inputs).num_nonfinite.sum())


def test_large_problems_and_other_devices_go_step_by_step(monkeypatch):
    models = tuple(predictions(8, 4))
    assert not ProxyLabeler()._fits_one_launch(models)
    monkeypatch.setattr(fused, "FORCED", True)
    assert ProxyLabeler()._fits_one_launch(models)
    assert not ProxyLabeler()._fits_one_launch(tuple(predictions(400, 100)))
    assert not MeanLabeler()._fits_one_launch(models)


@pytest.mark.gpu
@pytest.mark.skipif(not fused.is_available(torch.device("cuda")), reason="needs a CUDA device with Triton")
@pytest.mark.parametrize("name", [*ONE_LAUNCH, *STEP_BY_STEP])
def test_on_a_gpu_one_launch_gives_what_the_steps_give(name):
    inputs, settings = {**ONE_LAUNCH, **STEP_BY_STEP}[name]
    settings = {**SAME_SWEEPS, **settings, "tolerance": 1e-5}
    inputs = tuple(part.cuda() for part in inputs)
    triton_interpreter.answer(("label", inputs, settings))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        got = triton_interpreter.answer(("label", inputs, settings))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = triton_interpreter.answer(("label", tuple(part.cpu() for part in inputs), settings))
    assert got["is_known"] == (name in ONE_LAUNCH)
    for key in ("labels", "loss", "gradient"):
        torch.testing.assert_close(got[key].cpu(), expected[key], equal_nan=True, atol=2e-3, rtol=1e-2)
    for key in ("num_nonfinite", "is_nonfinite"):
        assert torch.equal(got[key].cpu(), expected[key])
