import pytest
from made_documents import TRANSPORT_MEASUREMENT, document, timed
from PIL import Image

from lt_callbacks.bench.figures import write_figures

MEMORY = {
    "axis": "memory",
    "place": 1280.0,
    "num_rows": 128,
    "num_classes": 10,
    "problem_mib": 0.005,
    "memory": {"ours, torch": {"peak_mib": 0.01}, "naive log-domain": {"not_measured": "killed"}},
}
SCALING = {"rows:64": {**TRANSPORT_MEASUREMENT, "axis": "rows", "place": 64.0}, "memory:1280": MEMORY}
SHARES = {"teachers": {"median_ms": 5.0, "share": 0.25}, "rest": {"median_ms": 15.0, "share": 0.75}}
STEP = {
    "net: bare": {"rows": {"CE": timed(10.0), "D-SINK": timed(20.0)}, "ratios": {}},
    "net: profile": {"shares": {**SHARES, "step": {"median_ms": 20.0, "share": 1.0}}},
}
TRAINING = {"total_seconds": 4.0, "teacher_seconds": 2.0, "student_seconds": 2.0, "accuracy": 50.0}
ADSA = {"streaming": timed(20.0, tau=1.0, peak_mib=1.0), "loop": timed(2000.0, tau=1.02, not_measured="no")}

DOCUMENTS = {
    "transport": ({"corr:128x10:3": TRANSPORT_MEASUREMENT}, ["bench_transport.png"]),
    "scaling": (SCALING, ["bench_scaling_memory.png", "bench_scaling_rows.png"]),
    "step": (STEP, ["bench_step.png", "bench_step_profile.png"]),
    "training": (
        {"seed 0": {"rows": {"ours": TRAINING, "written by hand": TRAINING}, "ratios": {}}},
        ["bench_training.png"],
    ),
    "adsa": ({"10 x 2": {"rows": ADSA, "ratios": {}}}, ["bench_adsa.png"]),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_figures_are_drawn_from_the_document(kind, tmp_path):
    measurements, names = DOCUMENTS[kind]
    written = write_figures(document(kind, measurements), tmp_path)
    assert sorted(path.name for path in written) == names == sorted(path.name for path in tmp_path.iterdir())
    for path in written:
        with Image.open(path) as picture:
            # Something is drawn: more than white, black and grey.
            colours = picture.convert("RGB").getcolors(1 << 20)
            assert len({colour for _, colour in colours if max(colour) - min(colour) > 60}) > 2


def test_other_numbers_give_another_picture(tmp_path):
    measurements, _ = DOCUMENTS["transport"]
    slower = {"corr:128x10:3": {**TRANSPORT_MEASUREMENT, "solvers": {**TRANSPORT_MEASUREMENT["solvers"]}}}
    slower["corr:128x10:3"]["solvers"]["ours, torch"] = {
        **TRANSPORT_MEASUREMENT["solvers"]["ours, torch"],
        **timed(3.0),
    }
    first, second, third = (
        write_figures(document("transport", found), tmp_path / name)[0].read_bytes()
        for name, found in (("a", measurements), ("b", slower), ("c", measurements))
    )
    assert first == third != second


def test_a_document_without_measurements_has_no_figures(tmp_path):
    assert write_figures(document("transport", {}), tmp_path) == []
