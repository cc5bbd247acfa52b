import json
import os
import subprocess
import sys

import pytest
import torch

from lt_callbacks.bench import command
from lt_callbacks.bench.document import read_bench

TRANSPORT = [
    "transport",
    "--problems",
    "random:16x4:1",
    "--only",
    "ours, torch",
    "--repeats",
    "2",
    "--sample-ms",
    "0.1",
]


@pytest.fixture(autouse=True)
def _same_environment_afterwards(monkeypatch):
    """The command sets variables of its process for libraries that are loaded later."""
    before = dict(os.environ)
    monkeypatch.setattr(command, "limit_threads", lambda *args, **more: None)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_the_command_measures_shows_and_draws(tmp_path, capsys):
    assert command.main([*TRANSPORT, "--output", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "random:16x4:1" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench-transport.json", "bench_transport.png"]
    content = read_bench(tmp_path / "bench-transport.json")
    # The folder is this machine's alone.
    assert (
        content["command"]
        == "lt-bench transport --problems random:16x4:1 --only ours, torch --repeats 2 --sample-ms 0.1"
    )
    assert str(tmp_path) not in json.dumps(content)


def test_plot_draws_anew_from_the_file(tmp_path, capsys):
    command.main([*TRANSPORT, "--output", str(tmp_path)])
    capsys.readouterr()
    picture = (tmp_path / "bench_transport.png").read_bytes()
    assert command.main(["plot", str(tmp_path / "bench-transport.json"), "--output", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "bench_transport.png").read_bytes() == picture
    assert "random:16x4:1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["transport", "--problems", "corr"], "`--problems` must be names MODE:NxC:S"),
        (["transport", "--only", "nobody"], "`--only` must be beginnings of names"),
        (["scaling", "--axes", "rwos"], "`--axes` must be one of 'rows'"),
        (["training", "--ways", "theirs"], "`--ways` must be one of 'ours'"),
        (["adsa", "--streams", "5x10"], "`--streams` must be sizes NxC"),
    ],
)
def test_a_wrong_option_is_told_without_a_trace(arguments, message, tmp_path, capsys):
    assert command.main([*arguments, "--output", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(message)
    assert not list(tmp_path.iterdir())


def test_plot_refuses_what_is_no_document(tmp_path, capsys):
    (tmp_path / "a.json").write_text("{}")
    assert command.main(["plot", str(tmp_path / "a.json")]) == 2
    assert "`FILE` must be a document of lt-bench" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("arguments", [["gpu"], ["transport", "--device", "cuda"], ["step", "--device", "cuda"]])
def test_without_a_gpu_the_command_says_so(arguments, tmp_path, capsys):
    assert command.main([*arguments, "--output", str(tmp_path)]) == 2
    assert "there is no CUDA device" in capsys.readouterr().err


def test_the_module_runs_as_a_command(tmp_path):
    arguments = [sys.executable, "-m", "lt_callbacks.bench.command", *TRANSPORT, "--output", str(tmp_path)]
    finished = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr[-2000:]
    content = read_bench(tmp_path / "bench-transport.json")
    assert set(content["thread_pools"].values()) == {1}


@pytest.mark.parametrize(
    "change", [{"kind": "another"}, {"cells": {"random:16x4:1": {}}}, {"cells": {"random:16x4:1": [1]}}]
)
def test_measurements_that_no_table_can_be_made_of_are_named(tmp_path, capsys, change):
    document = {
        "format": "lt_callbacks bench",
        "format_version": 1,
        "kind": "transport",
        "command": "lt-bench transport",
        "settings": {},
        "hardware": {"cpu": "A processor", "num_cores": 2, "system": "Linux", "gpus": [], "threads": 1},
        "versions": {"python": "3.12"},
        "missing": [],
        "cells": {"random:16x4:1": {}},
        **change,
    }
    (tmp_path / "b.json").write_text(json.dumps(document))
    assert command.main(["plot", str(tmp_path / "b.json"), "--output", str(tmp_path)]) == 2
    assert "`FILE` must hold whole measurements of a kind that lt-bench makes; got " in capsys.readouterr().err
