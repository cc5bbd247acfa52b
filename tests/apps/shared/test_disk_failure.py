from __future__ import annotations

import errno
import os

import pytest
from disks import full
from tiny_run import tiny_config

from lt_callbacks._errors import ArgumentFileError, StateError
from lt_callbacks._files import write_bytes
from lt_callbacks.apps.shared.disk_failure import is_disk_failure, telling_disk_failures


def failure(number: int, path: object = None) -> OSError:
    return OSError(number, os.strerror(number), None if path is None else str(path))


@pytest.mark.parametrize("setting", ["results", "output", "store"])
def test_a_full_disk_is_told_by_the_file_the_setting_and_the_way_on(tmp_path, setting):
    with full(tmp_path / "disk") as place:
        config = tiny_config(tmp_path, f"{setting}={place / 'all.json' if setting == 'results' else place}")
        file = place / "all.json" if setting == "results" else place / "deep" / "file"
        with pytest.raises(StateError) as told, telling_disk_failures(config):
            write_bytes(file, b"x" * 10000)
    assert str(told.value) == (
        f"The run ended because '{file}', a file of `{setting}`, could not be written: No space left on device. What was "
        f"finished is kept. Make room there; the same command with output={config.output} then goes on where this one "
        "was."
    )


@pytest.mark.parametrize(
    ("below", "setting"),
    [
        ("run/metrics.json", "output"),
        ("run/store/key/file", "store"),
        ("run/figures", "output"),
        ("shared/all.json", "results"),
        ("shared/.all.json.lock", "results"),
        ("shared", "results"),
    ],
)
def test_a_file_is_of_the_place_that_it_lies_in(tmp_path, below, setting):
    config = tiny_config(tmp_path, f"store={tmp_path / 'run' / 'store'}", f"results={tmp_path / 'shared' / 'all.json'}")
    text = f"a file of `{setting}`, could not be written: Read-only"
    with pytest.raises(StateError, match=text), telling_disk_failures(config):
        raise failure(errno.EROFS, tmp_path / below)


def test_a_full_disk_is_told_also_where_the_file_is_not_known(tmp_path):
    config = tiny_config(tmp_path)
    text = "^The run ended because a file could not be written: No space left on device"
    with pytest.raises(StateError, match=text), telling_disk_failures(config):
        raise failure(errno.ENOSPC)
    text = "^The run ended because '/elsewhere/x' could not be written: Disk quota"
    with pytest.raises(StateError, match=text), telling_disk_failures(config):
        raise failure(errno.EDQUOT, "/elsewhere/x")


@pytest.mark.parametrize(
    "error",
    [
        failure(errno.ENOENT, "run/x"),
        failure(errno.EACCES, "/elsewhere/x"),
        failure(errno.EPIPE),
        OSError("of a library"),
        ArgumentFileError("path", rule="be there", got="nothing"),
        ValueError("another"),
    ],
)
def test_other_errors_are_left_as_they_are(tmp_path, error, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(type(error)) as caught, telling_disk_failures(tiny_config(tmp_path)):
        raise error
    assert caught.value is error
    assert is_disk_failure(error) == (getattr(error, "errno", None) == errno.EACCES)
