from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from distill_small import logged_study

from lt_callbacks.apps.distill.rows import RECIPES


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A study of one seed, the results of all its rows, and what was said meanwhile."""
    study, lines = logged_study(tmp_path_factory.mktemp("study"))
    results = {method: study.run(method) for method in RECIPES}
    return study, results, lines()


@pytest.fixture
def copied(finished, tmp_path):
    """A folder with the store of the finished study."""
    shutil.copytree(Path(finished[0].config.store), tmp_path / "store")
    return tmp_path
