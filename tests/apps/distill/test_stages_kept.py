"""Stages in the store: what is reused, and what is left of a run that was killed."""

from __future__ import annotations

import io

import pytest
import torch
from distill_small import SETTINGS, logged_study, reused
from safetensors.numpy import load_file
from tiny_run import tiny_distill_study

from lt_callbacks.apps.shared.progress import RunProgress

# What is reused.


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        # Networks, images, labels.
        ((), (True, True, True)),
        (("student.num_passes=4", "adsa.fit_on=plain", "oracle_taus=[7]", "score_on=removed", "model.width=8"), (True, True, True)),
        (("views.mix=none",), (True, True, False)),
        (("views.num_views=2",), (True, True, False)),
        (("distiller.images_per_class=1",), (True, False, False)),
        (("distiller.settings.num_steps=1",), (True, False, False)),
        (("distiller=herding",), (True, False, False)),
        # Another network is one more, and makes other images and labels.
        (("networks=[small_cnn]",), (True, False, False)),
        (("trainer.max_epochs=1",), (False, False, False)),
        (("imbalance.factor=40",), (False, False, False)),
        (("seed=1",), (False, False, False)),
    ],
)  # fmt: skip
def test_a_stage_is_reused_where_nothing_that_it_rests_on_has_changed(copied, overrides, expected):
    changed = {override.partition("=")[0] for override in overrides}
    settings = [each for each in SETTINGS if each.partition("=")[0] not in changed]
    if "distiller" in changed:
        settings.remove("distiller.settings.num_steps=2")
    log = io.StringIO()
    study = tiny_distill_study(copied, *settings, *overrides, progress=RunProgress(total=9, stream=log))
    assert study.stages.labels.missing_views() == []
    lines = [line.partition(", ")[2] for line in log.getvalue().splitlines()]
    assert reused(lines) == dict(zip(("squeeze", "recover", "relabel"), expected, strict=True))


def test_other_networks_label_the_same_real_images(tmp_path):
    real = ("distiller=random_real", "networks=[small_cnn]", "trainer.max_epochs=1")
    log = io.StringIO()
    for change in ("optimisation.learning_rate=0.002", "optimisation.learning_rate=0.004"):
        tiny_distill_study(tmp_path, *real, change, progress=RunProgress(total=6, stream=log)).stages.labels  # noqa: B018
    assert [line.partition(", ")[2].rpartition(": ")[0] for line in log.getvalue().splitlines()] == 2 * [
        "recover (random_real)", "squeeze (small_cnn)", "relabel"
    ]  # fmt: skip
    assert [line.endswith("reused from the store") for line in log.getvalue().splitlines()] == [
        False, False, False, True, False, False,
    ]  # fmt: skip
    (folder,) = (place for place in (tmp_path / "store" / "distilled").iterdir() if len(place.name) == 64)
    assert len(list(folder.glob("soft_labels-*"))) == 2


# A run that was killed, and files that are not whole.


def label_files(folder):
    (store,) = (folder / "store" / "distilled").glob("*/soft_labels-*")
    return store, sorted(store.glob("view-*.safetensors"))


def test_a_relabelling_that_was_killed_goes_on_where_it_was(finished, copied):
    original, _, _ = finished
    store, files = label_files(copied)
    kept = files[0].stat()
    # Views 1 and 2 are gone; of one there is the half that was on the disk.
    content = files[1].read_bytes()
    (store / f".{files[1].name}.0123abcd.tmp").write_bytes(content[: len(content) // 2])
    files[1].unlink()
    files[2].unlink()
    study, lines = logged_study(copied)
    everything = torch.arange(len(original.stages.distilled))
    for view in range(3):
        assert torch.equal(
            study.stages.labels.logits(everything, view), original.stages.labels.logits(everything, view)
        )
    assert reused(lines()) == {"squeeze": True, "recover": True, "relabel": False}
    # What was finished was not written again.
    assert (files[0].stat().st_ino, files[0].stat().st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert load_file(files[1])["logits"].shape == (20, 10)


def test_a_set_that_was_killed_while_it_was_saved_is_made_again(finished, copied):
    original, _, _ = finished
    (facts,) = (copied / "store" / "distilled").glob("*/distilled.json")
    facts.unlink()
    study, lines = logged_study(copied)
    assert study.stages.distilled == original.stages.distilled
    assert reused(lines()) == {"squeeze": True, "recover": False}


def test_a_network_that_was_killed_while_it_was_saved_is_trained_again(finished, copied):
    original, _, _ = finished
    (copied / "store" / "teachers" / original.stages.network_keys[1] / "teacher.json").unlink()
    study, lines = logged_study(copied)
    state = study.stages.networks[1].state_dict()
    assert all(torch.equal(value, state[name]) for name, value in original.stages.networks[1].state_dict().items())
    assert [line.endswith("reused from the store") for line in lines()] == [True, False]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("teachers/*/teacher.safetensors", r"^The stored teacher '.*' must be as it was written; .* truncated"),
        (
            "distilled/*/images.safetensors",
            r"^`folder` must hold a whole distilled set, .*images.safetensors', which is trunc",
        ),
        (
            "distilled/*/distilled.json",
            r"^`folder` must hold a whole distilled set, .*distilled.json', which is damaged or tr",
        ),
        (
            "distilled/*/*/soft_labels.json",
            r"^`folder` must hold a whole soft-label store, .*soft_labels.json', which is dam",
        ),
        ("distilled/*/*/view-00001.safetensors", r"^`folder` must hold .*view-00001.safetensors', which is truncated"),
    ],
)
def test_a_truncated_file_of_the_store_is_refused_by_name(copied, pattern, message):
    for file in (copied / "store").glob(pattern):
        file.write_bytes(file.read_bytes()[:-9])
    study, _ = logged_study(copied)
    with pytest.raises(ValueError, match=message):
        study.run("soft")
