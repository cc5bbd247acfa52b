from __future__ import annotations

import json
import os
import platform

import numpy as np
import torch

from lt_callbacks.evaluation import hardware, versions


def test_versions_are_those_that_run():
    found = versions()
    assert list(found) == ["python", "torch", "lightning", "torchvision", "numpy"]
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]


def test_hardware_is_plain_and_names_no_host():
    found = json.loads(json.dumps(hardware()))
    assert set(found) == {"cpu", "num_cores", "system", "gpus"}
    assert found["cpu"]
    assert 1 <= found["num_cores"] <= os.cpu_count()
    assert len(found["gpus"]) == torch.cuda.device_count()
    assert platform.node() not in found.values()
