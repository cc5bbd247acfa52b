from __future__ import annotations

import pytest
from disks import PLACES
from finished_documents import finish_all
from tiny_run import tiny_config, tiny_distill_config

from lt_callbacks._errors import ArgumentError
from lt_callbacks._files import temporary_beside
from lt_callbacks.apps.distill import run as distill
from lt_callbacks.apps.shared.places import document_path, remove_leftovers_of_run
from lt_callbacks.apps.train import run as train

COMMANDS = {
    "lt-train": (train, lambda folder, *rest: tiny_config(folder, "methods=[ce,dsink]", *rest)),
    "lt-distill": (distill, lambda folder, *rest: tiny_distill_config(folder, "methods=[hard,soft]", *rest)),
}


@pytest.fixture(params=COMMANDS)
def command(request, monkeypatch):
    """`run` of a command that must end before it reads any data, and its settings."""
    module, settings = COMMANDS[request.param]
    monkeypatch.setattr(module, "build_source", lambda config: pytest.fail("data was read"))
    return module.run, settings


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("setting", ["results", "output", "store"])
def test_a_place_that_cannot_be_written_to_is_refused_before_data_is_read(tmp_path, command, setting, kind):
    run, settings = command
    make, text = PLACES[kind]
    with make(tmp_path / "place") as place:
        config = settings(tmp_path, f"{setting}={place / 'a' / 'b'}")
        with pytest.raises(ArgumentError, match=f"^`{setting}` {text}"):
            run(config)
    assert {path.name for path in tmp_path.iterdir()} <= {"place", "place" * 60}


@pytest.mark.parametrize("below", ["report.md", "table.csv", "metrics.json", "manifest-seed0.json"])
def test_a_folder_in_the_place_of_a_file_of_the_run_is_found_too(tmp_path, command, below):
    run, settings = command
    (tmp_path / "run" / below).mkdir(parents=True)
    with pytest.raises(ValueError, match=f"^`output` must have a file there or nothing; got '.*{below}', a folder"):
        run(settings(tmp_path))


@pytest.mark.parametrize("below", ["figures", "unfinished"])
def test_a_file_in_the_place_of_a_folder_of_the_run_is_found_too(tmp_path, command, below):
    run, settings = command
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / below).touch()
    with pytest.raises(ValueError, match=f"^`output` must have a folder there or nothing; got '.*{below}', a file"):
        run(settings(tmp_path))


def test_what_is_in_the_way_in_a_store_is_found_too(tmp_path, command):
    run, settings = command
    (tmp_path / "store").mkdir()
    for name in ("jobs", "teachers"):
        (tmp_path / "store" / name).touch()
    with pytest.raises(ValueError, match="^`store` must have a folder there or nothing; got '.*', a file"):
        run(settings(tmp_path))


def test_something_else_in_the_place_of_the_relabelled_set_is_found_too(tmp_path):
    (tmp_path / "run" / "distilled-adsa").mkdir(parents=True)
    (tmp_path / "run" / "distilled-adsa" / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"^`output` must be new or empty; got '.*distilled-adsa', which holds \['th"):
        distill.run(tiny_distill_config(tmp_path, "methods=[hard]"))


class DataWasReadError(Exception):
    """The places were found good."""


@pytest.fixture
def reads_data(command, monkeypatch):
    def read(config):
        raise DataWasReadError

    for module, _ in COMMANDS.values():
        monkeypatch.setattr(module, "build_source", read)
    return command


@pytest.mark.parametrize("kind", ["read-only", "full"])
def test_where_all_rows_are_finished_results_and_store_are_only_read(tmp_path, reads_data, kind):
    """Pages can be made from an archive."""
    run, settings = reads_data
    make, text = PLACES[kind]
    with make(tmp_path / "archive") as archive:
        places = (f"results={tmp_path / 'link' / 'metrics.json'}", f"store={archive / 'store'}")
        config = settings(tmp_path, *places)
        (tmp_path / "link").mkdir()
        finish_all(document_path(config), config)
        with pytest.raises(DataWasReadError):
            run(config)
        with pytest.raises(ArgumentError, match=f"^`store` {text}"):
            run(settings(tmp_path, *places, "num_seeds=2"))
        with pytest.raises(ArgumentError, match=f"^`store` {text}"):
            run(settings(tmp_path, *places, "setting=other"))


@pytest.mark.parametrize(
    ("overrides", "is_written"),
    [
        (("methods=[ce]",), False),
        (("methods=[ce,noise_teacher]",), True),
        (("methods=[dsink]",), True),
        (("methods=[noise_teacher]", "noise_teacher=checkpoint", "noise_teacher.checkpoint=a.pt"), False),
        (("methods=[naive]", "noise_teacher=checkpoint", "noise_teacher.checkpoint=a.pt"), True),
    ],
)
def test_a_store_counts_where_something_is_kept_in_it(tmp_path, monkeypatch, overrides, is_written):
    (tmp_path / "store").touch()
    monkeypatch.setattr(train, "build_source", lambda config: pytest.fail("data was read"))
    expected = "^`store` must be a folder" if is_written else "data was read"
    with pytest.raises((ValueError, pytest.fail.Exception), match=expected):
        train.run(tiny_config(tmp_path, *overrides))


def test_what_a_killed_run_had_begun_to_write_is_removed(tmp_path, monkeypatch):
    config = tiny_config(tmp_path, f"results={tmp_path / 'shared' / 'all.json'}")
    run, shared = tmp_path / "run", tmp_path / "shared"
    gone = [run / "report.md", run / "figures" / "tau.png", shared / "all.json"]
    kept = [shared / "other.json"]
    monkeypatch.setattr("lt_callbacks._files.is_running", lambda process: False)
    for path in (*gone, *kept):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary_beside(path).touch()
    (run / "phases" / "ce-seed0").mkdir(parents=True)
    (run / "phases" / "ce-seed0" / "stop").touch()
    (run / "phases" / "ce-seed0" / "phase.json").touch()
    remove_leftovers_of_run(config)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.name.split(".")[1] for path in left if path.name.startswith(".")] == ["other"]
    assert [path.name for path in left if not path.name.startswith(".")] == ["phase.json"]
