from __future__ import annotations

import functools
import re

import pytest
from hydra import compose, initialize_config_module
from omegaconf import DictConfig, OmegaConf

from lt_callbacks.apps.config.register import register_schemas


def name(*overrides: str, root: str = "train") -> str:
    """Name of the folder that a sweep gives to the job with ``overrides``."""
    return str(OmegaConf.select(_config(overrides, root), "hydra.sweep.subdir"))


@functools.cache
def _config(overrides: tuple[str, ...], root: str) -> DictConfig:
    """As a sweep has it when it names a job's folder: where that folder is, nobody knows yet."""
    register_schemas()
    with initialize_config_module("lt_callbacks.conf", version_base="1.3"):
        return compose(root, overrides=list(overrides), return_hydra_config=True)


def digits(shown: str) -> str:
    return shown.rpartition("-")[2]


def test_a_job_is_called_what_it_was_told_and_some_digits():
    assert re.fullmatch(r"noise\.ratio=0\.2,seed=1-[0-9a-f]{8}", name("noise.ratio=0.2", "seed=1"))
    assert re.fullmatch(r"[0-9a-f]{8}", name())


def test_the_order_of_what_it_was_told_does_not_matter():
    assert name("seed=1", "noise.ratio=0.2") == name("noise.ratio=0.2", "seed=1")


@pytest.mark.parametrize(
    "aside",
    ["launcher=sequential", "sweeper=grid", "store=elsewhere", "threads=3", "logger=csv", "output=elsewhere",
     "results=all.json", "hydra.sweep.dir=elsewhere"],
)  # fmt: skip
def test_where_and_how_loudly_it_works_does_not_matter(aside):
    assert name("seed=1", aside) == name("seed=1")
    assert name(aside) == name()


def test_a_callback_that_writes_into_the_run_folder_has_a_name_too():
    writer = "+callbacks.writer={{_target_: lightning.pytorch.callbacks.ModelCheckpoint, dirpath: '{}'}}"
    assert name(writer.format("${output}/best")) != name(writer.format("${output}/last"))


@pytest.mark.parametrize(
    "other", [("seed=2",), ("seed=1", "noise.ratio=0.2"), ("noise.ratio=1",), ("trainer.max_epochs=1",), ()]
)
def test_another_setting_is_another_name(other):
    assert digits(name(*other)) != digits(name("seed=1"))


def test_another_command_is_another_name():
    assert digits(name("seed=1", root="distill")) != digits(name("seed=1"))


def test_a_setting_that_only_a_file_changed_is_another_name():
    # Nobody typed it: an edited config, or a default of another release.
    config = _config(("seed=1",), "train").copy()
    config.dsink.alpha = 77
    assert str(OmegaConf.select(config, "hydra.sweep.subdir")) != name("seed=1")


@pytest.mark.parametrize(
    "override",
    ["methods=[ce,dsink]", "data.root='/a folder/b'", "data.root='../x'", "setting='a:b*c?<d>|\"'", "~callbacks",
     "setting='größe'", "+callbacks.a={_target_: x.Y}"],
)  # fmt: skip
def test_a_name_is_one_that_every_file_system_takes(override):
    found = name(override)
    assert re.fullmatch(r"[A-Za-z0-9.,=_+-]+", found)
    assert found not in (".", "..")


def test_long_names_are_cut_and_stay_apart():
    long = f"manifest={'x' * 300}"
    first, second = name(long, "seed=1"), name(long, "seed=2")
    assert first != second
    assert first[:100] == second[:100]
    # With the longest of the run's own names, below the 255 bytes of common file systems.
    assert len(first) == len("-12345678") + 100


@pytest.mark.parametrize("setting", ["manifest", "noise.transition_file", "data.train_csv"])
def test_a_file_counts_by_its_content_and_not_by_its_folder(tmp_path, setting):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file.json").write_text("one")
    first, second = (name(f"{setting}={tmp_path / folder}/file.json") for folder in ("a", "b"))
    assert first == second
    assert first.startswith(f"{setting}=file.json-")
    (tmp_path / "b" / "file.json").write_text("other")
    # `name` keeps what it composed; a resolver is asked again.
    assert name(f"{setting}={tmp_path / 'b'}/file.json") != first
