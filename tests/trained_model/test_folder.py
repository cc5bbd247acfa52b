from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from patience import PATIENCE
from small_models import RESNET, facts_of, network_of, saved

from lt_callbacks import load_model
from lt_callbacks.distilled_set.facts_file import write_facts
from lt_callbacks.methods import Classifier
from lt_callbacks.trained_model import read_model_facts, save_model

# Somewhere else, without the package's configs; prints what it has imported.
ELSEWHERE = """
import sys, torch
from lt_callbacks import load_model
model = load_model(sys.argv[1])
images = torch.load(sys.argv[2], weights_only=True)
with torch.no_grad():
    torch.save(model(images), sys.argv[3])
print(model.class_names)
print("imported:", *{name.partition(".")[0] for name in sys.modules})
"""

CASES = [
    {},
    {"head": "cosine", "channels_last": True},
    {"mean": (0.3,), "std": (0.2,), "image_size": (8, 8)},
    {"network": "preact_resnet18"},
    RESNET,
    {**RESNET, "mean": (0.5,), "std": (0.2,), "head": "cosine"},
]


@pytest.mark.parametrize("changes", CASES)
def test_a_loaded_network_has_the_logits_of_the_trained_one(tmp_path, changes):
    folder, network = saved(tmp_path / "model", **changes)
    model = load_model(folder)
    assert not any(module.training for module in model.modules())
    images = torch.randn(5, model.num_channels, *model.image_size)
    # As it was trained and scored.
    expected = Classifier(network=network, channels_last=changes.get("channels_last", False))(images)
    assert expected.std() > 1e-3
    torch.testing.assert_close(model(images), expected, atol=1e-6, rtol=0)
    assert model.facts == facts_of(**changes)


def test_it_does_in_a_fresh_process_elsewhere(tmp_path):
    folder, network = saved(tmp_path / "model", **RESNET)
    images = torch.randn(4, 3, 64, 64)
    torch.save(images, tmp_path / "images.pt")
    (tmp_path / "elsewhere").mkdir()
    arguments = [str(folder), str(tmp_path / "images.pt"), str(tmp_path / "logits.pt")]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *arguments],
        cwd=tmp_path / "elsewhere",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    logits = torch.load(tmp_path / "logits.pt", weights_only=True)
    torch.testing.assert_close(logits, network(images).detach(), atol=1e-6, rtol=0)
    names, imported = done.stdout.splitlines()
    assert names == str(("cat", "dog house", "Ünicorn"))
    # A service that answers with a network has no use for these.
    assert not {"hydra", "omegaconf", "lightning", "matplotlib", "sklearn", "timm"} & set(imported.split())


def test_a_model_is_replaced_as_a_whole(tmp_path):
    folder, _ = saved(tmp_path / "model")
    other = facts_of(class_names=("a", "b"), seed=4)
    save_model(folder, network_of(other, seed=1), facts=other)
    assert load_model(folder).class_names == ("a", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "weights.safetensors"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "model").mkdir()
    folder, _ = saved(tmp_path / "model")
    assert load_model(folder).facts == facts_of()


def test_something_else_is_not_replaced(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="`folder` must be new, empty or hold a trained model; got .*model"):
        save_model(tmp_path / "model", network_of(facts_of()), facts=facts_of())
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "notes.txt"]


def test_what_is_known_of_a_model_is_read_without_its_weights(tmp_path):
    folder, _ = saved(tmp_path / "model")
    (folder / "weights.safetensors").unlink()
    assert read_model_facts(folder) == facts_of()


def cut(file):
    file.write_bytes(file.read_bytes()[:-5])


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))


def rename_a_class(file):
    file.write_text(file.read_text().replace('"cat"', '"cow"'))


def change(file, **entries):
    values = json.loads(file.read_text())
    values.pop("checksum")
    write_facts(file, {**values, **entries})


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("weights.safetensors", cut, "weights.safetensors', which does not fit the checksum in model.json. Copy the folder"),
        ("weights.safetensors", flip, "weights.safetensors', which does not fit the checksum"),
        ("weights.safetensors", lambda file: file.unlink(), "weights.safetensors', which is missing or empty"),
        ("model.json", cut, "model.json', which is damaged or truncated"),
        ("model.json", rename_a_class, "model.json', which was edited or damaged: its checksum"),
        ("model.json", lambda file: change(file, format_version=2), "has format version 2 where this release reads 1"),
        ("model.json", lambda file: change(file, format="other"), "has no entry `format`"),
        ("model.json", lambda file: change(file, weights=3), "has 3 as its entry `weights`, which must be an object"),
        ("model.json", lambda file: change(file, std=[1.0]), "cannot be understood: .*that fit each other"),
        (
            "model.json",
            lambda file: change(file, network={"name": "resnet20", "head": "linear", "width": 4, "channels_last": False}),
            "weights.safetensors', which does not fit the network 'resnet20' as it is built here",
        ),
    ],
)  # fmt: skip
def test_a_damaged_or_edited_file_is_refused_by_name(tmp_path, name, damage, message):
    folder, _ = saved(tmp_path / "model")
    damage(folder / name)
    with pytest.raises(ValueError, match=message):
        load_model(folder)


def test_weights_that_are_not_finite_are_refused_by_name(tmp_path):
    network = network_of(facts_of())
    name, weight = next(iter(network.named_parameters()))
    with torch.no_grad():
        weight.view(-1)[3] = torch.nan
    save_model(tmp_path / "model", network, facts=facts_of())
    with pytest.raises(
        ValueError, match=f"weights.safetensors', which holds weights that are not finite: NaN in '{name}'. Train the"
    ):
        load_model(tmp_path / "model")


def test_a_network_that_no_memory_holds_is_refused_by_name(tmp_path):
    folder, _ = saved(tmp_path / "model")
    network = {"name": "small_cnn", "head": "linear", "width": 10**15, "channels_last": False}
    change(folder / "model.json", network=network)
    with pytest.raises(ValueError, match=r"model.json', which describes in `network`, .* what cannot be built: "):
        load_model(folder)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="`folder` must hold a trained model; got no file .*model.json"):
        load_model(tmp_path)


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(tmp_path, device):
    folder, _ = saved(tmp_path / "model")
    with pytest.raises(ValueError, match=f"`device` must be a device of this machine; got '{device}' .* Use 'cpu'"):
        load_model(folder, device=device)
