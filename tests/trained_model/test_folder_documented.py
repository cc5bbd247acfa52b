"""The page about the trained network: its Python is run as a reader would paste it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch
import warm_processes
from small_models import RESNET, saved, write_picture

from lt_callbacks import load_model

PAGE = Path(__file__).parents[2] / "docs" / "lt-predict.md"

KEEP = """
torch.save({"probs": probs, "names": names, "logits": logits, "plain_logits": plain_logits.detach()}, "kept.pt")
"""


def test_the_pages_python_runs_and_plain_pytorch_has_the_same_logits(tmp_path):
    folder, _ = saved(tmp_path / "model", **RESNET, channels_last=True)
    # An even and an odd ratio of the sides.
    pictures = [
        write_picture(tmp_path / name, size=size)
        for name, size in (("photo.jpg", (91, 130)), ("another.jpg", (70, 64)))
    ]
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 5
    command = [sys.executable, "-W", "ignore", "-c", "\n".join(blocks) + KEEP]
    done = warm_processes.run(command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    kept = torch.load(tmp_path / "kept.pt", weights_only=True)
    model = load_model(folder)
    torch.testing.assert_close(kept["probs"], model.predict(pictures), atol=1e-6, rtol=0)
    assert kept["names"] == [model.class_names[place] for place in kept["probs"].argmax(dim=1)]
    torch.testing.assert_close(kept["logits"].softmax(dim=1), kept["probs"][:1], atol=1e-6, rtol=0)
    torch.testing.assert_close(kept["plain_logits"], kept["logits"], atol=1e-5, rtol=0)
    assert (tmp_path / "model.pt2").is_file()
    assert (tmp_path / "model.onnx").is_file()
