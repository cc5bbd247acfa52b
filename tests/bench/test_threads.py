import json
import os
import subprocess
import sys

import pytest

from lt_callbacks.bench.threads import limit_threads, threads_in_use

SCRIPT = """
import sys
from lt_callbacks.bench import command
from lt_callbacks.bench.threads import limit_threads
assert not {"torch", "numpy", "jax"} & set(sys.modules), "loaded before the number of threads was set"
limit_threads(int(sys.argv[1]), device="cpu")
import json, os
import torch, numpy
from lt_callbacks.bench.threads import threads_in_use
print(json.dumps({"in_use": threads_in_use(), "xla": os.environ["XLA_FLAGS"]}))
"""


@pytest.mark.parametrize("number", [1, 2])
def test_libraries_that_are_loaded_later_get_so_many_threads(number):
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", SCRIPT, str(number)]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    found = json.loads(shown)
    assert set(found["in_use"].values()) == {number}
    assert f"intra_op_parallelism_threads={number}" in found["xla"]
    assert f"multi_thread_eigen={'true' if number > 1 else 'false'}" in found["xla"]


def test_what_is_loaded_already_is_resized(monkeypatch):
    import torch

    before = torch.get_num_threads()
    for name in ("OMP_NUM_THREADS", "XLA_FLAGS", "GEOMLOSS_QUIET", "JAX_PLATFORMS", "NUMBA_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    for name in ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    try:
        limit_threads(2, device="cpu")
        assert threads_in_use()["torch"] == 2
    finally:
        limit_threads(before, device="cpu")
