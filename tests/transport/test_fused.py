"""Which problems the GPU kernels are for, and what becomes of those that want them where they cannot be had."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from patience import PATIENCE

from lt_callbacks._errors import StateError
from lt_callbacks.transport import fused, fused_harmonise, fused_transport


def test_what_fits():
    assert fused.fits(128, 100)
    assert fused.fits(256, 128)
    assert fused.fits(0, 10)
    assert not fused.fits(257, 128)
    assert not fused.fits(128, 0)
    assert not fused.fits(2, 257)
    assert not fused.fits(128, 1000)


@pytest.mark.parametrize("shape", [(0, 1), (1, 1), (17, 3), (128, 10), (128, 100), (256, 128), (60, 256), (2048, 16)])
def test_a_tile_holds_its_problem(shape):
    tile = fused.tile(*shape)
    assert tile.rows >= shape[0]
    assert tile.groups * tile.width >= shape[1]
    for side in tile:
        assert side & (side - 1) == 0
    # The register file of a block has 65,536; half of them hold the matrix at most.
    assert tile.rows * tile.groups * tile.width <= 64 * 32 * tile.num_warps


def test_it_is_for_gpus_unless_told_otherwise(monkeypatch):
    assert not fused.is_available(torch.device("cpu"))
    monkeypatch.setattr(fused, "FORCED", True)
    assert fused.is_available(torch.device("cpu"))
    monkeypatch.setattr(fused, "FORCED", False)
    assert not fused.is_available(torch.device("cuda"))


def test_triton_is_loaded_on_use_only():
    code = (
        "import sys, lt_callbacks.dsink, lt_callbacks.transport\n"
        "assert 'lt_callbacks.transport.fused' in sys.modules\n"
        "assert 'lt_callbacks.transport.fused_kernels' not in sys.modules\n"
        "assert 'triton' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE)


@pytest.fixture
def _fresh():
    """Whether there is a Triton is asked once in a process."""
    fused.has_triton.cache_clear()
    yield
    fused.has_triton.cache_clear()


@pytest.mark.usefixtures("_fresh")
def test_without_triton_there_is_a_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(RuntimeError, match="needs Triton 3 or later.*`backend='torch'`"):
        fused.require_triton()


@pytest.mark.usefixtures("_fresh")
@pytest.mark.parametrize("kernel", [fused_transport._kernel, fused_harmonise._kernel])
def test_no_kernel_is_launched_without_triton(monkeypatch, kernel):
    monkeypatch.setitem(sys.modules, "triton", None)
    kernel.cache_clear()
    with pytest.raises(StateError, match="needs Triton 3 or later"):
        kernel()


@pytest.mark.usefixtures("_fresh")
def test_an_old_triton_is_as_none(monkeypatch):
    import triton

    monkeypatch.setattr(triton, "__version__", "2.3.1")
    assert not fused.has_triton()
