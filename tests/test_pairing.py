"""A file of the package has a test file of the same name at the same place.

Where the tests of `b.py` are more than one idea, they go on in `test_b_IDEA.py` beside `test_b.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Files that are tested through another one -> its test file.
ELSEWHERE = {
    "bench/actions.py": "bench/test_command.py",
    "bench/ours.py": "bench/test_measure.py",
    "bench/show.py": "bench/test_command.py",
    "bench/step_profile.py": "bench/test_step.py",
    "bench/students.py": "bench/test_step.py",
    "transport/result.py": "transport/test_sinkhorn.py",
    # The phases of one solve.
    "transport/exponentiated_kernel.py": "transport/test_exponentiated.py",
    "transport/momentum.py": "transport/test_exponentiated.py",
    "transport/newton.py": "transport/test_exponentiated.py",
    "transport/compiled.py": "transport/test_exponentiated.py",
    # Device code, which is launched by one of two.
    "transport/fused_sweeps.py": "transport/test_fused_transport.py",
    "transport/fused_kernels.py": "transport/test_fused_transport.py",
    # Both forms of attachment are thin around them.
    "plugins/dsink/capture.py": "plugins/dsink/test_callback.py",
    # Blocks are what the page is made of.
    "evaluation/pages/report_blocks.py": "evaluation/pages/test_html_page.py",
}

# Test files about several files of a room at once.
ACROSS = {
    "plugins/test_no_host_reads.py",
    "plugins/test_rank_trouble.py",
    "plugins/dsink/test_ddp.py",
    "dsink/test_one_launch.py",
    "dsink/test_over_ranks.py",
    "plugins/dsink/test_fifty_steps.py",
    "plugins/dsink/test_fsdp.py",
    "plugins/dsink/test_tuner.py",
    "objectives/test_over_ranks.py",
    "apps/train/test_many_devices.py",
    "apps/train/test_own_pictures.py",
    "apps/train/test_resume.py",
    "apps/train/test_shared_teachers.py",
}

FILES = sorted(
    path.relative_to(ROOT / "lt_callbacks")
    for path in (ROOT / "lt_callbacks").rglob("*.py")
    # What a room's __init__ gives out is listed in test_public_names.py.
    if path.name != "__init__.py"
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.as_posix())
def test_a_file_has_its_tests(path):
    expected = Path(ELSEWHERE.get(path.as_posix(), path.with_name(f"test_{path.stem.lstrip('_')}.py").as_posix()))
    assert (ROOT / "tests" / expected).is_file(), f"write tests/{expected.as_posix()}"


def test_exceptions_are_files_that_exist():
    assert {Path(name) for name in ELSEWHERE} <= set(FILES)


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES} - {Path()}), ids=lambda path: path.as_posix())
def test_a_room_has_no_tests_of_files_that_are_gone(folder):
    files = [
        path for path in (ROOT / "tests" / folder).glob("test_*.py") if (folder / path.name).as_posix() not in ACROSS
    ]
    tested = {path.stem.removeprefix("test_") for path in files}
    present = {path.stem.lstrip("_") for path in FILES if path.parent == folder}
    # test_b_IDEA.py counts as tests of b.py.
    strangers = {stem for stem in tested if not any(f"{stem}_".startswith(f"{name}_") for name in present)}
    assert not strangers
