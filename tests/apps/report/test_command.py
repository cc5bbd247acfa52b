from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys

import pytest
from comparison_documents import settings
from finished_jobs import write_job, write_run, write_sweep
from headless_page import CHROMIUM, browser
from made_results import method_result
from parsed_page import Parsed
from report_sections import NASTY

from lt_callbacks.apps.report.command import main
from lt_callbacks.evaluation import write_result

#: A single setting, whose report has one figure.
ONE = {"ratios": (0.4,), "factors": (10.0,)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished sweep with its report."""
    root = write_sweep(tmp_path_factory.mktemp("runs") / "sweep")
    assert main([str(root)]) == 0
    return root / "report"


def refused(capsys, arguments):
    assert main([str(argument) for argument in arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    return told.err


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_report_lies_in_the_first_folder(made):
    figures = [f"figures/{name}.png" for name in ("accuracy_map", "gain_map", "shots")]
    assert files_in(made) == [*figures, "report.html", "report.md", "results.csv", "table.csv"]


def test_all_results_are_in_the_csv_with_their_files(made):
    with (made / "results.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 48
    assert all((made.parent / row["file"]).is_file() for row in rows)
    assert {row["teachers_reused"] for row in rows if row["method"] == "D-SINK" and row["seed"] == "0"} == {"0"}


def test_the_page_says_what_was_found(made):
    text = (made / "report.md").read_text()
    assert text.startswith(
        "# digits: accuracy by noise.ratio and imbalance.factor\n\n4 settings, 4 methods, 3 seeds; 48 results"
    )
    assert (
        "D-SINK minus the better teacher, paired 95 % interval in each of 4 settings: above 0 in 4, below in 0, undecided in 0."
        in text
    )
    assert "All 12 jobs are done." in text
    assert "Teachers: 4 trained, 8 taken from the store." in text
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == [
        "At a glance", "Accuracy", "Gain of D-SINK", "Many, medium and few", "Time", "Settings", "Origin"
    ]  # fmt: skip


def test_page_and_markdown_have_the_same_figures(made):
    page = (made / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert len(re.findall(r"\(figures/\w+\.png\)", (made / "report.md").read_text())) == 3


def test_failed_and_unfinished_jobs_are_listed_with_their_logs(tmp_path, capsys):
    root = write_sweep(tmp_path / "sweep", **ONE)
    write_job(
        root / "bad", status="failed", error='ValueError: got <nothing> & "more"', overrides=["seed=7", "store=/x"]
    )
    write_job(write_run(root / "going", 0.4, 10.0, 8), status="running")
    write_job(root / "stopped", status="stopped")
    write_job(root / "elsewhere", status="done")
    assert main([str(root)]) == 0
    told = capsys.readouterr().out
    for name, status in (("bad", "failed"), ("going", "unfinished"), ("stopped", "stopped")):
        assert re.search(rf"^{status}: {name}.* Log: {re.escape(str(root / name / 'job.log'))}$", told, re.MULTILINE)
    page = (root / "report" / "report.html").read_text()
    assert "3 jobs of 7 not done, see Jobs; the results that they had written count." in page
    assert "ValueError: got &lt;nothing&gt; &amp; &#34;more&#34;" in page
    assert 'href="../bad/job.log"' in page
    assert ">seed=7</td>" in page
    text = (root / "report" / "report.md").read_text()
    assert "so not counted here:\n\n- elsewhere" in text
    # what the unfinished one had written counts
    assert "0,1 to" not in text
    with (root / "report" / "results.csv").open() as stream:
        assert "8" in {row["seed"] for row in csv.DictReader(stream)}


def test_runs_without_records_and_files_by_name_are_as_good(tmp_path):
    one = write_run(tmp_path / "one", 0.2, 10.0, 0)
    shutil.copy(write_run(tmp_path / "two", 0.4, 10.0, 0) / "metrics.json", tmp_path / "other.json")
    assert main([str(one), str(tmp_path / "other.json")]) == 0
    text = (one / "report" / "report.md").read_text()
    assert "# digits: accuracy by noise.ratio" in text
    assert "../other.json" in text
    assert "jobs" not in text


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """The report of a sweep whose every name is a script, an attribute or a cell of its own."""
    root = tmp_path_factory.mktemp("hostile") / "sweep"
    for ratio in (0.2, 0.4):
        named = settings(ratio, data={"name": NASTY, "class_names": [NASTY, "b"]}, **{NASTY: NASTY})
        results = [method_result(method, seed) for method in ("CE", "D-SINK", NASTY) for seed in (0, 1)]
        folder = root / f"noise.ratio={ratio}"
        write_result(folder / "metrics.json", command=NASTY, settings=named, results=results, notes=NASTY)
        write_job(folder)
    write_job(root / "bad", status="failed", error=NASTY, overrides=[NASTY])
    assert main([str(root), "--title", NASTY, "--group-by", "data.name"]) == 0
    return root / "report"


def test_no_name_of_a_run_becomes_markup(hostile):
    found = Parsed((hostile / "report.html").read_text())
    assert found.all("script") == [{}]
    assert all(image["src"].startswith("data:image/png;base64,") for image in found.all("img"))
    assert all(anchor["href"].startswith(("#", "../")) for anchor in found.all("a"))
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    # each is there to be read: title, axis, methods, settings, command, notes, error
    assert sum(NASTY in text for text in found.text) > 15
    text = (hostile / "report.md").read_text()
    outside_code = re.sub(r"^```\n.*?\n```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "<" not in re.sub(r"\]\(<[^>]*>\)", "", outside_code)
    with (hostile / "table.csv").open(newline="") as stream:
        assert [row["method"] for row in csv.DictReader(stream)] == ["CE", "D-SINK", NASTY] * 2


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
@pytest.mark.ddp
def test_a_browser_runs_and_loads_nothing_that_a_name_says(hostile):
    with browser() as tab:
        tab.open(hostile / "report.html", width=1200, scheme="light")
        assert tab.ask("document.querySelector('h1').textContent") == NASTY
        assert NASTY in tab.ask("[...document.querySelectorAll('thead th')].map(head => head.textContent)")
        assert (tab.complaints, tab.requests) == ([], [(hostile / "report.html").resolve().as_uri()])


def test_a_single_setting_has_bars_and_tables_only(tmp_path):
    root = write_sweep(tmp_path / "sweep", **ONE)
    assert main([str(root), "--title", "Mine <1>"]) == 0
    assert files_in(root / "report" / "figures") == ["shots.png"]
    assert "<h1>Mine &lt;1&gt;</h1>" in (root / "report" / "report.html").read_text()


def test_the_same_run_twice_counts_once_and_is_told(tmp_path):
    root = write_sweep(tmp_path / "sweep", **ONE, seeds=(0,))
    write_run(root / "again", 0.4, 10.0, 0)
    assert main([str(root)]) == 0
    text = (root / "report" / "report.md").read_text()
    assert (
        "D-SINK, seed 0: alike in again/metrics.json and noise.ratio=0.4,imbalance.factor=10.0,seed=0/metrics.json"
        in text
    )


def test_contradicting_results_are_an_error_that_names_both_files(tmp_path, capsys):
    root = write_sweep(tmp_path / "sweep", ratios=(0.4,), seeds=(0,))
    target = root / "other" / "metrics.json"
    write_result(target, command="c", settings=settings(0.4, 10.0), results=[method_result("CE", 0, 1.0)])
    told = refused(capsys, [root])
    assert told.startswith("`DIR` must hold each method and seed once at a setting")
    assert "other/metrics.json" in told
    assert "noise.ratio=0.4,imbalance.factor=10.0,seed=0/metrics.json" in told
    assert not (root / "report").exists()


@pytest.mark.parametrize("name", ["metrics.json", "job.json"])
def test_a_damaged_file_is_an_error_that_names_it_before_anything_is_written(tmp_path, capsys, name):
    root = write_sweep(tmp_path / "sweep", ratios=(0.4,), seeds=(0,))
    damaged = sorted(root.rglob(name))[-1]
    damaged.write_text(damaged.read_text()[:50])
    told = refused(capsys, [root])
    assert str(damaged) in told
    assert "elsewhere" in told
    assert "Traceback" not in told
    assert not (root / "report").exists()


def test_folders_without_results_are_an_error_that_lists_the_jobs(tmp_path, capsys):
    write_job(tmp_path / "sweep" / "bad", status="failed", error="x")
    told = refused(capsys, [tmp_path / "sweep"])
    assert told.startswith("`DIR` must hold at least one finished result in a metrics.json; got none in ")
    assert f"  failed: {tmp_path / 'sweep' / 'bad'}. See {tmp_path / 'sweep' / 'bad' / 'job.log'}" in told


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["missing"], "`DIR` must be folders of finished runs, or result documents; got 'missing', which does not exist."),
        (["sweep", "--group-by", "noise.ration"], "`--group-by` must name settings of the results; got 'noise.ration'. Did you mean 'noise.ratio'?"),
        (["sweep", "--output", "file"], "`--output` must be a folder; got 'file', a file. Name another one."),
        (["sweep", "--output", "file/report"], "`--output` must lie in a folder; got 'file/report', where '"),
        (["sweep", "--output", "/proc/report"], "`--output` must be a place where files can be written; got '/proc/report"),
        (["sweep", "--output", "run"], "`--output` must not be the folder of a run, whose own report would be lost"),
    ],
)  # fmt: skip
def test_errors_are_one_sentence_without_a_trace(tmp_path, capsys, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path / "sweep", ratios=(0.4,), seeds=(0,))
    write_run(tmp_path / "run", 0.4, 10.0, 0)
    (tmp_path / "file").write_text("x")
    told = refused(capsys, arguments)
    assert text in told
    assert told.count("\n") == 1


def test_asked_settings_go_first(tmp_path):
    root = write_sweep(tmp_path / "sweep", seeds=(0,), methods=("CE",))
    assert main([str(root), "--group-by", "imbalance.factor, noise.ratio"]) == 0
    assert (root / "report" / "results.csv").read_text().startswith("imbalance.factor,noise.ratio,method,seed,")


def test_figures_of_an_earlier_report_are_replaced_and_other_files_stay(tmp_path):
    root = write_sweep(tmp_path / "sweep", seeds=(0,), methods=("CE",))
    assert main([str(root)]) == 0
    assert files_in(root / "report" / "figures") == ["accuracy_map.png", "shots.png"]
    (root / "report" / "figures" / "mine.png").write_bytes(b"x")
    for path in root.glob("noise.ratio=*"):
        if not path.name.startswith("noise.ratio=0.4,imbalance.factor=100"):
            shutil.rmtree(path)
    assert main([str(root)]) == 0
    assert files_in(root / "report" / "figures") == ["mine.png", "shots.png"]


def test_equal_results_make_equal_files(tmp_path):
    root = write_sweep(tmp_path / "sweep", **ONE, seeds=(0, 1))
    contents = []
    for name in ("a", "b"):
        assert main([str(root), "--output", str(tmp_path / name)]) == 0
        contents.append([(tmp_path / name / path).read_bytes() for path in files_in(tmp_path / name)])
    assert contents[0] == contents[1]


def test_the_command_loads_neither_torch_nor_lightning():
    script = "import sys, lt_callbacks.apps.report.command; print({'torch', 'lightning', 'matplotlib', 'jinja2'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown == "set()\n"


def test_help_names_every_argument(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(word in told for word in ("lt-report", "DIR", "--output", "--title", "--group-by"))
