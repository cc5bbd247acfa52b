from __future__ import annotations

import pickle

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from safetensors.torch import save_file
from torch import nn
from user_project import QUIET, UserData

from lt_callbacks.teachers import load_checkpoint
from lt_callbacks.teachers.weights import load_weights


def network(seed: int = 0, width: int = 4) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width), nn.Linear(width, 3))


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def save(state: dict[str, torch.Tensor], path, kind: str):
    if kind == "safetensors":
        save_file(state, path)
    elif kind == "plain":
        torch.save(state, path)
    else:
        torch.save({"epoch": 3, "state_dict": state, "hyper_parameters": {"width": 4}}, path)
    return path


@pytest.mark.parametrize("prefix", ["", "network.", "model.network."])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("kind", ["plain", "lightning", "safetensors"])
def test_weights_are_found_under_their_prefix(tmp_path, kind, prefix, given):
    trained, fresh = network(1), network(2)
    state = {prefix + name: value for name, value in trained.state_dict().items()}
    if prefix:
        state["objective.memory"] = torch.zeros(2)
    path = save(state, tmp_path / f"teacher.{'safetensors' if kind == 'safetensors' else 'ckpt'}", kind)
    assert load_checkpoint(path, fresh, prefix=prefix if given else None) is fresh
    assert same(trained, fresh)


def test_a_checkpoint_of_lightning_itself(tmp_path):
    class Wrapped(LightningModule):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.save_hyperparameters({"width": 4, "name": "wrapped"})
            self.network = network

        def training_step(self, batch, batch_idx):
            return self.network(batch[0].flatten(1)[:, :2]).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    module = Wrapped(network(1))
    trainer = Trainer(**QUIET, logger=False, enable_checkpointing=False, enable_model_summary=False)
    trainer.fit(module, UserData())
    trainer.save_checkpoint(tmp_path / "whole.ckpt")
    assert same(load_checkpoint(tmp_path / "whole.ckpt", network(2)), module.network)
    assert same(load_checkpoint(tmp_path / "whole.ckpt", Wrapped(network(2))), module)


def test_one_of_two_networks_must_be_named(tmp_path):
    first, second = network(1), network(2)
    state = {f"{name}.{key}": v for name, net in (("a", first), ("b", second)) for key, v in net.state_dict().items()}
    path = save(state, tmp_path / "two.ckpt", "lightning")
    with pytest.raises(
        ValueError, match=r"`prefix` must be given .*two.ckpt', which holds them under \['a.', 'b.'\]. Pass one"
    ):
        load_checkpoint(path, network(3))
    assert same(load_checkpoint(path, network(3), prefix="b."), second)


def test_a_name_that_only_ends_alike_is_no_prefix(tmp_path):
    """`bias` is the end of `rebias`, which is another parameter."""
    module = nn.Module()
    module.bias = nn.Parameter(torch.zeros(2))
    path = save({"rebias": torch.ones(2)}, tmp_path / "x.ckpt", "plain")
    with pytest.raises(ValueError, match=r"missing: \['bias'\] \(1\), unexpected: \['rebias'\] \(1\)"):
        load_checkpoint(path, module)


@pytest.mark.parametrize("prefix", ["", "network."])
def test_another_architecture_is_refused_and_the_module_left_as_it_was(tmp_path, prefix):
    state = {prefix + name: value for name, value in network(1, width=5).state_dict().items()}
    path = save(state, tmp_path / "wide.ckpt", "plain")
    fresh, before = network(2), network(2)
    text = r"wide.ckpt` must hold the weights of Sequential.*shapes: \['0.weight \(5, 2\) instead of \(4, 2\)'"
    with pytest.raises(ValueError, match=text):
        load_checkpoint(path, fresh)
    assert same(fresh, before)


def test_names_that_differ_are_listed():
    text = r"`here` must.*missing: \['weight', 'bias'\] \(2\), unexpected: \['w'\] \(1\).*Build the module"
    with pytest.raises(ValueError, match=text):
        load_weights(nn.Linear(2, 2), {"w": torch.zeros(2)}, source="here")


def test_a_module_without_weights_takes_an_empty_file(tmp_path):
    load_checkpoint(save({}, tmp_path / "none.ckpt", "plain"), nn.ReLU())
    with pytest.raises(ValueError, match="unexpected"):
        load_checkpoint(save({"w": torch.zeros(1)}, tmp_path / "one.ckpt", "plain"), nn.ReLU())


class Harmful:
    def __reduce__(self):
        return (open, ("harm.txt", "w"))


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_code_in_a_file_is_not_run(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "harmful.ckpt"
    if kind == "torch":
        torch.save({"state_dict": {"weight": Harmful()}}, path)
    else:
        path.write_bytes(pickle.dumps({"weight": Harmful()}, protocol=2))
    with pytest.raises(
        ValueError, match=r"`path` must be a whole file .*; got UnpicklingError from reading '.*harmful.ckpt'"
    ):
        load_checkpoint(path, nn.Linear(2, 2))
    assert not (tmp_path / "harm.txt").exists()


@pytest.mark.parametrize("kind", ["plain", "safetensors"])
@pytest.mark.parametrize("length", [0, 10, 300])
def test_a_truncated_file_is_refused_by_name(tmp_path, kind, length):
    path = save(network().state_dict(), tmp_path / f"cut.{'safetensors' if kind == 'safetensors' else 'ckpt'}", kind)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        ValueError,
        match=r"`path` must be a whole file of nothing but tensors.*; got (\w+ from reading )?'.*cut\.\w+'(, and it is "
        r"truncated or damaged: .*)?\. (Save|Restore)",
    ):
        load_checkpoint(path, network())


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ([torch.zeros(1)], "list"),
        ({"weight": 3}, "dict"),
        ({"state_dict": None}, "dict"),
        ({"state_dict": [torch.zeros(1)]}, "dict"),
        ({"model": {"weight": torch.zeros(1)}}, "dict"),
    ],
)
def test_files_without_a_state_dict_are_refused(tmp_path, content, kind):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(
        ValueError, match=rf"`path` must hold a state dict of tensors.*; got {kind} in '.*other.pt'. Save"
    ):
        load_checkpoint(tmp_path / "other.pt", nn.Linear(2, 2))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path` must be a checkpoint file; got .*none.ckpt', which does not"):
        load_checkpoint(tmp_path / "none.ckpt", nn.Linear(2, 2))


@pytest.mark.parametrize("kind", ["plain", "lightning"])
def test_a_flipped_bit_of_a_weight_is_found(tmp_path, kind):
    """It gave another teacher, in silence."""
    path = save(network(1).state_dict(), tmp_path / "bit.ckpt", kind)
    content = bytearray(path.read_bytes())
    content[content.index(network(1)[0].weight.detach().numpy().tobytes()) + 5] ^= 1
    path.write_bytes(bytes(content))
    fresh = network(2)
    with pytest.raises(
        ValueError,
        match=r"`path` must be a whole file .*; got '.*bit\.ckpt', and its entry 'bit/data/\d+' does not fit its checksum",
    ):
        load_checkpoint(path, fresh)
    assert same(fresh, network(2))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", ["2.weight", "1.running_var"])
@pytest.mark.parametrize("kind", ["plain", "safetensors"])
def test_weights_and_buffers_that_are_not_finite_are_named(tmp_path, kind, name, value):
    state = network(1).state_dict()
    state[name].view(-1)[1] = value
    path = save(state, tmp_path / f"bad.{'safetensors' if kind == 'safetensors' else 'pt'}", kind)
    fresh = network(2)
    what = "NaN" if value != value else "infinity"
    with pytest.raises(
        ValueError, match=rf"bad\.\w+` must hold finite weights; got {what} in '{name}'. Restore the file"
    ):
        load_checkpoint(path, fresh)
    assert same(fresh, network(2))


def test_what_is_not_finite_beside_the_module_is_no_concern(tmp_path):
    state = {f"network.{name}": value for name, value in network(1).state_dict().items()}
    path = save({**state, "metric.best": torch.tensor(torch.inf)}, tmp_path / "more.ckpt", "lightning")
    assert same(load_checkpoint(path, network(2)), network(1))


def test_a_mask_of_the_module_is_no_damage(tmp_path):
    module = nn.Module()
    module.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))
    path = save({"mask": module.mask.clone()}, tmp_path / "mask.pt", "plain")
    load_checkpoint(path, module)
    moved = save({"mask": module.mask.T.clone()}, tmp_path / "moved.pt", "plain")
    with pytest.raises(ValueError, match="finite weights; got infinity in 'mask'"):
        load_checkpoint(moved, module)


def test_what_is_no_module_is_refused(tmp_path):
    with pytest.raises(TypeError, match="^`module` must be a torch.nn.Module; got dict. Build the module that was"):
        load_checkpoint(tmp_path / "a.pt", {})
