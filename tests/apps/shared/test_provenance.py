from __future__ import annotations

import sys
from dataclasses import asdict, fields

import numpy as np
import pytest
import torch

from lt_callbacks.apps.config.distill_schemas import DistillConfig
from lt_callbacks.apps.config.train_schemas import DataConfig, NoiseConfig, TrainConfig
from lt_callbacks.apps.shared.provenance import NOT_RESULTS, command_line, result_settings
from lt_callbacks.data import ImageSet, LongTailedDataModule, Source, digits, source_sha256


@pytest.fixture(scope="module")
def datamodule():
    return LongTailedDataModule(source=digits())


def test_settings_are_all_that_decide_a_result(datamodule):
    settings = result_settings(TrainConfig(output="out"), datamodule)
    names = [field.name for field in fields(TrainConfig) if field.name not in NOT_RESULTS]
    expected = {name: asdict(TrainConfig())[name] for name in names}
    # Documents from before these settings can still be continued.
    later = (
        ("data", "sampling"),
        ("data", "labels_are_true"),
        ("trainer", "num_nodes"),
        ("trainer", "strategy"),
        ("model", "compile"),
    )
    for group, name in later:
        del expected[group][name]
    del expected["teachers"], expected["cached_views"]
    assert settings == expected
    assert {"data", "noise", "model", "dsink", "trainer", "corruption_seed", "manifest"} <= settings.keys()


def test_settings_that_came_later_count_where_they_are_not_at_their_default(datamodule):
    config = TrainConfig()
    config.data.labels_are_true = True
    config.data.sampling, config.trainer.num_nodes, config.trainer.strategy = "class_balanced", 2, "fsdp"
    config.teachers, config.cached_views, config.model.compile = "cached", 2, True
    settings = result_settings(config, datamodule)
    assert (settings["teachers"], settings["cached_views"], settings["model"]["compile"]) == ("cached", 2, True)
    assert settings["data"]["sampling"] == "class_balanced"
    assert settings["data"]["labels_are_true"] is True
    assert (settings["trainer"]["num_nodes"], settings["trainer"]["strategy"]) == (2, "fsdp")


def test_the_other_commands_settings_have_no_teachers(datamodule):
    settings = result_settings(DistillConfig(), datamodule)
    assert "teachers" not in settings
    assert "compile" not in settings["model"]
    assert settings["model"]["name"] == DistillConfig().model.name


@pytest.mark.parametrize("name", NOT_RESULTS)
def test_what_decides_no_result_is_a_setting(name):
    assert name in {field.name for field in fields(TrainConfig)}


def test_where_a_run_works_makes_no_difference(datamodule):
    here = TrainConfig(output="a", store="b", results="c", seed=0, num_seeds=2, threads=1, methods=["ce"])
    there = TrainConfig(output="x", store="y", results="z", seed=2, num_seeds=1, threads=2, methods=["dsink"])
    assert result_settings(here, datamodule) == result_settings(there, datamodule)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/me/data/cifar", ".../cifar"),
        ("~/cifar", ".../cifar"),
        ("C:\\data\\cifar", ".../cifar"),
        ("data/cifar", "data/cifar"),
        ("cifar", "cifar"),
    ],
)
def test_no_folder_of_this_machine_is_in_a_document(datamodule, path, shown):
    config = TrainConfig(data=DataConfig(root=path), noise=NoiseConfig(transition_file=path))
    settings = result_settings(config, datamodule)
    assert settings["data"]["root"] == shown
    assert settings["noise"]["transition_file"] == shown


def test_a_manifest_counts_by_its_content(datamodule):
    settings = result_settings(TrainConfig(manifest="/home/me/manifest.json"), datamodule)
    assert settings["manifest"] == datamodule.manifest.sha256
    assert (settings["imbalance"], settings["noise"]) == (None, None)


@pytest.mark.parametrize("setting", ["given_labels_file", "transition_file"])
def test_a_file_of_labels_counts_by_its_content(datamodule, tmp_path, setting):
    """Results of one file were continued with those of another of its name."""
    held = {}
    for folder, content in (("here", "one"), ("moved", "one"), ("changed", "two")):
        path = tmp_path / folder / "labels.npy"
        path.parent.mkdir()
        path.write_text(content)
        held[folder] = result_settings(TrainConfig(noise=NoiseConfig(**{setting: str(path)})), datamodule)
    assert held["here"] == held["moved"]
    assert held["here"] != held["changed"]
    assert str(tmp_path) not in str(held)


def test_the_command_is_as_somebody_else_would_type_it(monkeypatch):
    typed = [
        "/opt/env/bin/lt-train",
        "-m",
        "noise.ratio=0.2,0.4",
        "data.root=/home/me/cifar",
        "+callbacks.x._target_=my.Callback",
        "store=/tmp/store",
        "output=/tmp/out",
        "hydra.run.dir=/tmp/run",
        "+hydra.job.name=x",
        "results=docs/results/digits.json",
        "objective.settings={q: 0.7}",
        "threads=1",
    ]
    monkeypatch.setattr(sys, "argv", typed)
    assert command_line() == (
        "lt-train -m noise.ratio=0.2,0.4 data.root=.../cifar +callbacks.x._target_=my.Callback "
        "results=docs/results/digits.json objective.settings={q: 0.7}"
    )


def own_data(*, pixel: int = 0, label: int = 1) -> LongTailedDataModule:
    images = torch.zeros(6, 1, 2, 2, dtype=torch.uint8)
    images[0, 0, 0, 0] = pixel
    part = ImageSet(images=images, labels=np.array([0, 0, 0, 1, 1, label]))
    source = Source(name="mine", train=part, class_names=("a", "b"), mean=(0.5,), std=(0.5,), labels_are_true=False)
    return LongTailedDataModule(source=source)


def test_data_of_ones_own_count_by_their_content():
    """Results of eighteen pictures were shown as those of the twenty-five that lay there now."""
    config = TrainConfig(data=DataConfig(name="arrays", path="mine.npz"))
    settings = result_settings(config, own_data())
    assert settings["data"]["content_sha256"] == source_sha256(own_data().source)
    assert settings == result_settings(config, own_data())
    assert settings != result_settings(config, own_data(pixel=1))
    assert settings != result_settings(config, own_data(label=0))


def test_benchmarks_count_by_their_name(datamodule):
    assert "content_sha256" not in result_settings(TrainConfig(), datamodule)["data"]
