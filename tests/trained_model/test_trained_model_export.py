from __future__ import annotations

import inspect

import pytest
import torch
from small_models import RESNET, saved

from lt_callbacks import load_model

CASES = [
    {},
    RESNET,
    {**RESNET, "channels_last": True, "head": "cosine"},
    {"network": "preact_resnet18", "channels_last": True},
]


@pytest.fixture(params=CASES, ids=lambda changes: "-".join(str(value) for value in changes.values()) or "small_cnn")
def model(request, tmp_path):
    folder, _ = saved(tmp_path / "model", **request.param)
    return load_model(folder)


def images_for(model, number):
    return torch.randn(number, 3, *model.image_size, generator=torch.Generator().manual_seed(number))


def test_the_exported_program_has_the_same_logits(tmp_path, model):
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (images_for(model, 2),), dynamic_shapes={"images": {0: batch}})
    torch.export.save(program, tmp_path / "model.pt2")
    exported = torch.export.load(tmp_path / "model.pt2").module()
    # Another batch than the one it was traced with.
    images = images_for(model, 5)
    torch.testing.assert_close(exported(images), model(images), atol=1e-6, rtol=0)


@pytest.mark.skipif(
    "dynamic_shapes" not in inspect.signature(torch.onnx.export).parameters, reason="this torch exports no program"
)
def test_onnx_has_the_same_logits(tmp_path, model):
    import onnxruntime

    file = tmp_path / "model.onnx"
    batch = torch.export.Dim("batch")
    torch.onnx.export(
        model, (images_for(model, 2),), file, dynamo=True, dynamic_shapes={"images": {0: batch}}, verbose=False
    )
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    images = images_for(model, 5)
    (logits,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    torch.testing.assert_close(torch.tensor(logits), model(images).detach(), atol=1e-4, rtol=0)
