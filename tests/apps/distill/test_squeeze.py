from __future__ import annotations

import io
import itertools
import json
from dataclasses import asdict

import pytest
import torch
from tiny_run import tiny_distill_config, write_arrays
from torch.nn.utils import parameters_to_vector

from lt_callbacks.apps.config.build import build_classifier, build_datamodule, build_source
from lt_callbacks.apps.config.train_schemas import DataConfig
from lt_callbacks.apps.distill.squeeze import describe_squeeze, squeeze
from lt_callbacks.apps.shared.progress import RunProgress
from lt_callbacks.methods import ClassifierNetwork
from lt_callbacks.models import build_model
from lt_callbacks.teachers.isolated_seed import isolated_seed

TINY = ("trainer.max_epochs=1", "imbalance.factor=100")


@pytest.fixture(scope="module")
def source():
    return build_source(DataConfig())


def squeezed(folder, source, *overrides, seed=0):
    """Networks, their keys, and what was said meanwhile."""
    config = tiny_distill_config(folder, *TINY, *overrides)
    log = io.StringIO()
    datamodule = build_datamodule(config, source, seed=seed)
    networks, keys = squeeze(config, datamodule, seed=seed, progress=RunProgress(total=2, stream=log))
    return networks, keys, log.getvalue().splitlines()


def is_reused(lines):
    assert all(line.startswith("[") for line in lines)
    return [line.endswith(": reused from the store") for line in lines]


@pytest.fixture(scope="module")
def made(tmp_path_factory, source):
    """Two networks of one architecture, and the folder with their store."""
    folder = tmp_path_factory.mktemp("squeeze")
    return folder, *squeezed(folder, source, "networks=[small_cnn,small_cnn]")


def test_networks_come_back_trained_and_frozen(made, source):
    _, networks, keys, lines = made
    assert [line.partition(": ")[0] for line in lines] == [
        "[1/2] seed 0, squeeze (small_cnn)",
        "[2/2] seed 0, squeeze (small_cnn)",
    ]
    assert is_reused(lines) == [False, False]
    assert len(set(keys)) == 2
    for network in networks:
        assert not any(module.training for module in network.modules())
        assert not any(parameter.requires_grad for parameter in network.parameters())
        # Batch norm has seen images.
        buffers = dict(network.named_buffers())
        assert all(int(value) > 0 for name, value in buffers.items() if name.endswith("num_batches_tracked"))
        assert network(torch.zeros(3, 1, 8, 8)).shape == (3, 10)


def test_each_network_of_each_seed_starts_from_weights_of_its_own(tmp_path, source):
    # Steps of no length: what comes back is what it started from.
    found = []
    for seed in (0, 1):
        networks, *_ = squeezed(
            tmp_path, source, "networks=[small_cnn,small_cnn]", "optimisation.learning_rate=1e-30", seed=seed
        )
        found += [parameters_to_vector(network.parameters()) for network in networks]
    for first, second in itertools.combinations(found, 2):
        assert not torch.allclose(first, second)
    with isolated_seed(1 * 32 + 1):
        fresh = build_model("small_cnn", num_classes=10, in_channels=1)
    assert torch.allclose(found[3], parameters_to_vector(fresh.parameters()), atol=1e-7)


def test_a_second_run_trains_nothing(made, source):
    folder, networks, keys, _ = made
    again, same_keys, lines = squeezed(folder, source, "networks=[small_cnn,small_cnn]")
    assert same_keys == keys
    assert is_reused(lines) == [True, True]
    for network, other in zip(networks, again, strict=True):
        state = other.state_dict()
        assert not any(module.training for module in other.modules())
        assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    "others",
    [
        ("student.num_passes=3", "student.loss=mse", "adsa.fit_on=plain", "oracle_taus=[7]", "methods=[hard]"),
        # The students' width is not that of the networks.
        ("model.width=8", "distiller=sre2l", "views=crops", "views.num_views=9", "score_on=removed"),
        ("threads=2", "data.eval_batch_size=50", "num_seeds=2", "setting=x", "trainer.deterministic=false"),
        # The place in the list counts, and what follows it does not.
        ("networks=[small_cnn,resnet8_half]",),
    ],
)
def test_what_does_not_concern_a_network_does_not_retrain_it(made, source, others):
    folder, _, keys, _ = made
    _, found, lines = squeezed(folder, source, *others)
    assert found[0] == keys[0]
    assert is_reused(lines)[0] is True


@pytest.mark.parametrize(
    "change",
    ["noise=pair_flip", "noise.ratio=0.3", "imbalance.factor=10", "corruption_seed=1", "data.augment=true", "data.batch_size=64",
     "data.validation_fraction=0.1", "optimisation.weight_decay=0.1", "objective=balanced_softmax",
     "trainer.max_epochs=3", "trainer.gradient_clip_val=1.0", "model.channels_last=true", "networks=[resnet8_half]"],
)  # fmt: skip
def test_a_network_of_other_settings_is_another_one(tmp_path, source, change):
    def key(*overrides):
        config = tiny_distill_config(tmp_path, *overrides)
        return describe_squeeze(config, build_datamodule(config, source, seed=0), seed=0, place=0).key

    base = {"data.augment": "false", "noise.ratio": "0.2", "noise": "symmetric"}
    name, _, value = change.partition("=")
    changed = {**base, name: value}
    assert key(*map("=".join, base.items())) != key(*map("=".join, changed.items()))


@pytest.mark.parametrize("other", [{"seed": 1, "place": 0}, {"seed": 0, "place": 1}])
def test_a_network_of_another_seed_or_place_is_another_one(tmp_path, source, other):
    config = tiny_distill_config(tmp_path, "networks=[small_cnn,small_cnn]")
    datamodule = build_datamodule(config, source, seed=0)
    assert (
        describe_squeeze(config, datamodule, **other).key != describe_squeeze(config, datamodule, seed=0, place=0).key
    )


def test_another_seed_trains_anew(made, source):
    _, _, lines = squeezed(made[0], source, seed=1)
    assert is_reused(lines) == [False]


def test_the_key_is_the_same_wherever_the_files_are(made, source, tmp_path):
    folder, _, keys, _ = made
    config = tiny_distill_config(tmp_path, *TINY, "results=elsewhere.json")
    datamodule = build_datamodule(config, source, seed=0)
    assert describe_squeeze(config, datamodule, seed=0, place=0).key == keys[0]
    for file in (folder / "store").rglob("teacher.json"):
        assert str(folder) not in file.read_text()


def test_the_stored_settings_are_those_of_the_network(made):
    folder, _, keys, _ = made
    facts = json.loads((folder / "store" / "teachers" / keys[1] / "teacher.json").read_text())
    config = tiny_distill_config(folder, *TINY)
    assert facts["settings"] == {
        "model": "small_cnn",
        "channels_last": False,
        "objective": "cross_entropy",
        "objective_settings": {},
        "optimisation": asdict(config.optimisation),
        "max_epochs": 1,
        "batch_size": 32,
        "precision": "32-true",
        "num_ranks": 1,
        "start_seed": 1,
        "data_seed": 0,
    }


def test_a_truncated_network_is_refused_by_name(made, source, tmp_path):
    networks, (key,), _ = squeezed(tmp_path, source)
    assert len(networks) == 1
    file = tmp_path / "store" / "teachers" / key / "teacher.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(ValueError, match=rf"^The stored teacher '.*{key}' must be as it was written; .* truncated"):
        squeezed(tmp_path, source)


def test_networks_of_a_lower_precision_see_images_in_float32(tmp_path, source):
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    # Trained, and from the store.
    first, again = (squeezed(tmp_path, source, "trainer.precision=bf16-true")[0][0](images) for _ in range(2))
    assert first.dtype == torch.float32
    assert torch.equal(first, again)


def test_training_leaves_the_global_random_state_alone(tmp_path, source):
    state = torch.get_rng_state()
    squeezed(tmp_path, source)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_sees_images_in_the_memory_format_that_it_was_trained_in(tmp_path):
    config = tiny_distill_config(
        tmp_path,
        "data=arrays",
        "imbalance=exponential",
        f"data.path={write_arrays(tmp_path / 'a.npz')}",
        "model.channels_last=true",
        "imbalance.factor=2",
    )
    datamodule = build_datamodule(config, build_source(config.data), seed=0)
    network = ClassifierNetwork(build_classifier(config, datamodule, group="objective"))
    seen = []
    network.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    network(torch.zeros(2, 3, 8, 8))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
