from __future__ import annotations

import subprocess
import sys

import pytest
from commands import environment
from patience import PATIENCE
from small_models import saved, write_picture

from lt_callbacks.apps.predict.command import main


def test_the_command_in_a_process_of_its_own(tmp_path):
    saved(tmp_path / "model")
    for number in range(3):
        write_picture(tmp_path / "pictures" / f"{number}.jpg", seed=number)
    command = [sys.executable, "-m", "lt_callbacks.apps.predict.command", "model", "pictures", "--top", "2"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 pictures: ")
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines[0] == "path,class,probability,class_2,probability_2"
    assert [line.partition(",")[0] for line in lines[1:]] == [f"pictures/{number}.jpg" for number in range(3)]


def test_the_exit_code_says_that_a_picture_was_not_read(tmp_path):
    folder, _ = saved(tmp_path / "model")
    (tmp_path / "a.png").write_text("no picture")
    arguments = [str(folder), str(tmp_path / "a.png"), "--output", str(tmp_path / "a.csv"), "--num-workers", "0"]
    # Nothing was predicted, and nothing is written in place of what was.
    (tmp_path / "a.csv").write_text("earlier")
    assert main(arguments) == 2
    assert (tmp_path / "a.csv").read_text() == "earlier"
    write_picture(tmp_path / "pictures" / "good.png")
    (tmp_path / "pictures" / "bad.png").write_text("no picture")
    assert main([str(folder), str(tmp_path / "pictures"), *arguments[2:]]) == 1
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "a.png"], "`MODEL` must hold a trained model; got no file"),
        (["model", "nowhere"], "`IMAGES` must be a picture, a folder of pictures or a CSV file; got 'nowhere'"),
        (["model", "a.png", "--top", "4"], "`--top` must be an integer >= 1 and <= 3; got 4"),
        (["model", "a.png", "--device", "gpu"], "`--device` must be a device of this machine; got 'gpu'"),
        (["model", "a.png", "--batch-size", "0"], "`--batch-size` must be an integer >= 1; got 0"),
        (["model", "a.png", "--num-workers", "-1"], "`--num-workers` must be an integer >= 0; got -1"),
        (
            ["model", "a.png", "--root", "b"],
            "`--root` must be left out but for a CSV file; got 'b' for 'a.png'. Remove",
        ),
        (["model", "out.csv"], "If that is meant, pass `--root`, the folder that relative paths start from"),
        (["model", "a.png", "--output", "."], "`--output` must be a CSV file of its own; got ."),
    ],
)
def test_a_mistake_is_told_by_the_name_that_was_typed(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "model")
    write_picture(tmp_path / "a.png")
    (tmp_path / "out.csv").write_text("path\n../a.png\n")
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "predictions.csv").exists()
