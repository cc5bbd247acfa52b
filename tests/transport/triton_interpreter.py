"""The GPU kernels in Triton's interpreter, which must be chosen before Triton is imported: in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from patience import PATIENCE

from lt_callbacks.dsink import ProxyLabeler
from lt_callbacks.transport import fused
from lt_callbacks.transport.fused_harmonise import harmonise_fused
from lt_callbacks.transport.fused_transport import solve_fused

# A call is (what, inputs, settings).
Call = tuple[str, tuple[torch.Tensor, ...], dict[str, Any]]

LOSS_FACTOR = 3.0


def answer(call: Call) -> dict[str, Any]:
    """What the kernels make of a call, on the device of its inputs."""
    what, inputs, settings = call
    if what == "solve":
        return solve_fused(*inputs, **settings)._asdict()
    if what == "harmonise":
        return harmonise_fused(*inputs, **settings)._asdict()
    logits = inputs[0].clone().requires_grad_()
    proxy = ProxyLabeler(**settings)(logits, *inputs[1:])
    loss = proxy.divergence(logits)
    (LOSS_FACTOR * loss).backward()
    found = {name: value for name, value in vars(proxy).items() if name != "known"}
    return {**found, "is_known": proxy.known is not None, "loss": loss.detach(), "gradient": logits.grad}


def answers(calls: dict[str, Call], folder: Path) -> dict[str, dict[str, Any]]:
    """What the interpreter makes of the calls."""
    torch.save(calls, folder / "calls.pt")
    run = subprocess.run(
        [sys.executable, __file__, str(folder)],
        # The helpers that are imported above lie in folders of this process's path.
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 0, run.stderr
    return torch.load(folder / "answers.pt", weights_only=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    fused.FORCED = True
    calls = torch.load(folder / "calls.pt", weights_only=False)
    torch.save({name: answer(call) for name, call in calls.items()}, folder / "answers.pt")
