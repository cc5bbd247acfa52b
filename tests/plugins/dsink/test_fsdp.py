"""Sharded training, as far as a CPU can tell: torch's own FSDP2 over gloo processes."""

import pytest
import torch

pytest.importorskip("torch.distributed.fsdp", reason="no FSDP in this build")
if not hasattr(torch.distributed.fsdp, "fully_shard"):
    pytest.skip("`fully_shard` is public since torch 2.6", allow_module_level=True)

import small_modules as m  # noqa: E402
from fsdp_rank_workers import fsdp_worker, plain_teachers, train  # noqa: E402
from spawned_ranks import run_ranks  # noqa: E402

pytestmark = [pytest.mark.ddp, pytest.mark.slow]
FORMS = ("loop", "mixin")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fsdp")
    run_ranks(fsdp_worker, folder)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("form", FORMS)
def test_the_steps_have_the_gradients_of_one_process(ranks, form):
    expected = train(form, 1, 0)
    for got in ranks:
        # Without sharding there would be nothing to see here.
        assert all(got[form]["sharded"])
        for step, gradients in enumerate(expected["gradients"]):
            for name, gradient in gradients.items():
                torch.testing.assert_close(got[form]["gradients"][step][name], gradient, rtol=1e-4, atol=1e-6)
        for name, weight in expected["weights"].items():
            torch.testing.assert_close(got[form]["weights"][name], weight, rtol=1e-4, atol=1e-6)


def test_d_sink_is_in_the_gradients(ranks):
    plain = m.hand_written(m.fresh(m.ReturnsTensor), alpha=0.0, num_steps=3)
    robust = m.hand_written(m.fresh(m.ReturnsTensor), alpha=3.0, num_steps=3)
    assert m.largest_difference(ranks[0]["mixin"]["weights"], robust) < 1e-4
    assert m.largest_difference(plain, robust) > 1e-2


@pytest.mark.parametrize("form", FORMS)
def test_teachers_stay_whole_and_out_of_the_state(ranks, form):
    for got in ranks:
        assert got[form]["state"] == ["body.bias", "body.weight", "head.bias", "head.weight"]
        assert got[form]["teacher_types"] == {"Parameter"}
        for teacher, expected in zip(got[form]["teachers"], plain_teachers(), strict=True):
            assert torch.equal(teacher, expected)
