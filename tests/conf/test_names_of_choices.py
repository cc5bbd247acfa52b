"""What has a name has a file of that name, and the reverse."""

from __future__ import annotations

import pytest
from conf_files import CONF, FILES, groups_of, settings_of

from lt_callbacks.apps.config.default_network import AUTO
from lt_callbacks.corruption import NOISE_KINDS, PROFILES
from lt_callbacks.data import SOURCES
from lt_callbacks.dataset_distillation import DISTILLERS
from lt_callbacks.models.build import NETWORKS
from lt_callbacks.objectives import OBJECTIVES

# A new data set, noise type, profile, network or objective needs a file, and a file needs what it names.


@pytest.mark.parametrize(
    ("group", "setting", "known"),
    [
        ("data", "name", SOURCES),
        ("noise", "kind", NOISE_KINDS),
        ("imbalance", "profile", PROFILES),
        ("model", "name", (AUTO, *NETWORKS)),
        ("objective", "name", OBJECTIVES),
    ],
)
def test_everything_that_has_a_name_has_a_file_of_that_name(group, setting, known):
    named = {file.partition("/")[2]: settings_of(file)[setting] for file in FILES if file.startswith(f"{group}/")}
    # Of a profile there is one with another factor.
    assert named.pop("exponential_50", "exponential") == "exponential"
    assert named == {name: name for name in known}


@pytest.mark.parametrize("group", ["imbalance_teacher", "noise_teacher"])
def test_a_teachers_file_has_the_name_of_its_objective(group):
    named = {file.partition("/")[2]: settings_of(file)["name"] for file in FILES if file.startswith(f"{group}/")}
    assert named.pop("checkpoint") == "cross_entropy"
    assert all(file == name and name in OBJECTIVES for file, name in named.items())


def test_every_distiller_has_a_file_of_its_name():
    named = {file.partition("/")[2]: settings_of(file)["name"] for file in FILES if file.startswith("distiller/")}
    assert {name for file, name in named.items() if file == name} == set(DISTILLERS)
    assert set(named.values()) == set(DISTILLERS)


def test_every_group_of_the_defaults_has_files_and_the_reverse():
    listed = groups_of("train") | groups_of("distill")
    assert listed == {path.name for path in CONF.iterdir() if path.is_dir() and any(path.glob("*.yaml"))}
