"""What a store of soft labels has on disk, and how its files are read."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from small_sets import random_images, small_set
from small_stores import logits_of, store, written_store

from lt_callbacks.distilled_set import PLAIN_VIEW, SoftLabels, Views
from lt_callbacks.distilled_set.soft_labels import NUM_OPEN_VIEWS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def labels(tmp_path):
    return written_store(tmp_path / "labels")


def test_a_truncated_shard_is_refused_by_name_when_it_is_read(labels):
    path = labels.folder / "view-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    again = SoftLabels.open(labels.folder)
    assert again.logits(torch.arange(12), 0).shape == (12, 4)
    with pytest.raises(ValueError, match=r"view-00001\.safetensors', which is truncated"):
        again.logits(torch.arange(12), 1)


def test_swapped_views_are_refused_by_name(labels):
    shutil.copy(labels.folder / "view-00002.safetensors", labels.folder / "view-00001.safetensors")
    with pytest.raises(ValueError, match=r"view-00001\.safetensors', which holds view 2"):
        SoftLabels.open(labels.folder).logits(torch.arange(12), 1)


def test_a_shard_of_a_store_with_another_calibration_is_refused_by_name(labels, tmp_path):
    other = store(tmp_path / "other", calibration={"tau": 0.0})
    shutil.copy(labels.folder / "view-00001.safetensors", other.folder)
    with pytest.raises(ValueError, match=r"view-00001\.safetensors', which belongs to another store"):
        other.logits(torch.arange(12), 1)


def test_a_view_is_written_once(labels):
    path = labels.folder / "view-00001.safetensors"
    before = path.stat().st_mtime_ns
    labels.write(1, logits_of(1))
    with pytest.raises(ValueError, match="`view` must be one that is not written yet; got view 1 of .* other labels"):
        labels.write(1, logits_of(0))
    assert path.stat().st_mtime_ns == before
    assert torch.equal(labels.logits(torch.arange(12), 1), logits_of(1).half().float())


def test_compact_labels_that_differ_in_one_part_are_other_labels(tmp_path):
    made = store(tmp_path, top_k=2)
    made.write(0, logits_of(0))
    made.write(0, logits_of(0) + 1)
    with pytest.raises(ValueError, match="`view` must be one that is not written yet"):
        made.write(0, 2 * logits_of(0))  # the same classes


def num_mapped(folder):
    """Files of ``folder`` that this process has mapped."""
    return Path("/proc/self/maps").read_text().count(f"{folder}/view-")


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_a_thousand_views_do_not_hold_all_files_open(tmp_path):
    made = store(tmp_path, num_views=60)
    for view in range(60):
        made.write(view, logits_of(view))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0)).tolist()
    for view in order + order[::-1]:
        found = made.logits(torch.tensor([view % 12]), view)
        assert torch.equal(found, logits_of(view)[[view % 12]].half().float())
    assert num_mapped(tmp_path) == NUM_OPEN_VIEWS
    made.logits(torch.tensor([0]), order[NUM_OPEN_VIEWS - 1])  # the one that was used longest ago
    made.logits(torch.tensor([0]), order[-1])
    maps = Path("/proc/self/maps").read_text()
    assert f"{tmp_path}/view-{order[NUM_OPEN_VIEWS - 1]:05d}" in maps
    assert f"{tmp_path}/view-{order[NUM_OPEN_VIEWS - 2]:05d}" not in maps
    del made
    assert num_mapped(tmp_path) == 0


def test_a_shard_is_checked_whole_once_and_not_at_every_opening(tmp_path, monkeypatch):
    from lt_callbacks.distilled_set import label_shard

    made = store(tmp_path, num_views=20)
    for view in range(20):
        made.write(view, logits_of(view))
    checked = []
    original = label_shard._checksum
    monkeypatch.setattr(
        label_shard, "_checksum", lambda *a, view, **k: checked.append(view) or original(*a, view=view, **k)
    )
    for _ in range(3):
        for view in range(20):
            made.logits(torch.tensor([0]), view)
    assert checked == list(range(20))


def test_a_half_written_shard_is_not_there(labels):
    path = labels.folder / "view-00001.safetensors"
    (labels.folder / ".view-00001.safetensors.0123456789abcdef.tmp").write_bytes(path.read_bytes()[:40])
    path.unlink()
    again = store(labels.folder, calibration={"tau": 1.5})
    assert again.missing_views() == [1]
    with pytest.raises(FileNotFoundError, match="view-00001"):
        again.logits(torch.arange(12), 1)
    again.write(1, logits_of(1))
    assert torch.equal(again.logits(torch.arange(12), 1), logits_of(1).half().float())


@pytest.mark.parametrize("top_k", [None, 2, 4])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_page_reads_a_store_without_this_package(tmp_path, monkeypatch, dtype, top_k):
    page = (ROOT / "docs" / "distilled_set.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 1
    assert "lt_callbacks" not in blocks[0]
    distilled = small_set(random_images(dtype=dtype))
    distilled.save(tmp_path / "distilled")
    made = SoftLabels.create(
        tmp_path / "distilled" / "soft_labels", distilled=distilled, views=PLAIN_VIEW, num_views=1, top_k=top_k
    )
    made.write(0, logits_of(0))
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(blocks[0], found)
    everything = torch.arange(12)
    torch.testing.assert_close(
        torch.from_numpy(found["network_input"]), Views(distilled, PLAIN_VIEW).images(everything, 0), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        torch.from_numpy(found["soft_labels"]).float(), made.logits(everything, 0).softmax(1), rtol=0, atol=1e-6
    )
