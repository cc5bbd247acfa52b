import multiprocessing
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from patience import PATIENCE
from small_sets import random_images, small_set

from lt_callbacks.distilled_set import PLAIN_VIEW, SoftLabels, Views, ViewSettings
from lt_callbacks.distilled_set.compact_labels import decode, encode
from lt_callbacks.distilled_set.soft_labels import NUM_OPEN_VIEWS

ROOT = Path(__file__).parents[2]
VIEWS = ViewSettings(seed=5, crop="padded", mix="cutmix")


def logits_of(view, *, num_images=12, num_classes=4, scale=5.0):
    return scale * torch.randn(num_images, num_classes, generator=torch.Generator().manual_seed(view))


def store(folder, *, num_views=3, **settings):
    return SoftLabels.create(folder, distilled=small_set(), views=VIEWS, num_views=num_views, **settings)


@pytest.fixture
def labels(tmp_path):
    made = store(tmp_path / "labels", calibration={"tau": 1.5})
    for view in range(3):
        made.write(view, logits_of(view))
    return made


def test_labels_are_those_written_up_to_float16_in_any_order(labels):
    for view in (2, 0, 1, 0):
        for samples in ([11, 0, 3, 3, 7], [5], list(range(12))):
            found = labels.logits(torch.tensor(samples), view)
            assert found.dtype == torch.float32
            assert torch.equal(found, logits_of(view)[samples].half().float())
    assert labels.logits(torch.zeros(0, dtype=torch.int64), 1).shape == (0, 4)


def test_a_store_knows_what_it_holds(labels):
    found = SoftLabels.open(labels.folder, distilled=small_set())
    assert (found.views, found.num_views, found.num_images, found.num_classes) == (VIEWS, 3, 12, 4)
    assert found.calibration == {"tau": 1.5}
    assert found.top_k is None
    assert found.missing_views() == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_logits_of_any_precision_are_kept(tmp_path, dtype):
    made = store(tmp_path)
    made.write(1, logits_of(1).to(dtype).requires_grad_())
    expected = logits_of(1).to(dtype).half().float()
    assert torch.equal(made.logits(torch.arange(12), 1), expected)


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_compact_labels_come_back_as_normalised_log_probabilities(tmp_path, top_k):
    made = store(tmp_path, top_k=top_k)
    made.write(2, logits_of(2))
    samples = torch.tensor([4, 11, 0, 4])
    found = SoftLabels.open(tmp_path).logits(samples, 2)
    expected = decode(encode(logits_of(2), top_k=top_k), num_classes=4)[samples]
    assert torch.equal(found, expected)
    torch.testing.assert_close(found.exp().sum(1), torch.ones(4))
    assert torch.equal(found.argmax(1), logits_of(2)[samples].argmax(1))
    assert made.top_k == top_k


def test_a_store_is_continued(labels):
    (labels.folder / "view-00001.safetensors").unlink()
    again = store(labels.folder, calibration={"tau": 1.5})
    assert again.missing_views() == [1]
    again.write(1, logits_of(1))
    assert again.missing_views() == []
    assert torch.equal(again.logits(torch.arange(12), 1), logits_of(1).half().float())


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"calibration": {"tau": 1.0}}, "calibration"),
        ({"calibration": None}, "calibration"),
        ({"num_views": 4}, "num_views"),
        ({"top_k": 2}, "form"),
        ({"views": PLAIN_VIEW}, "views"),
        ({"distilled": small_set(random_images(seed=1))}, "distilled_sha256"),
    ],
)
def test_a_store_of_other_facts_is_not_continued(labels, changes, name):
    settings = {"distilled": small_set(), "views": VIEWS, "num_views": 3, "calibration": {"tau": 1.5}, **changes}
    with pytest.raises(ValueError, match=rf"`folder` must be new or hold labels of equal facts; .* whose `{name}` is "):
        SoftLabels.create(labels.folder, **settings)
    assert SoftLabels.open(labels.folder).missing_views() == []


def test_labels_of_another_set_are_refused(labels):
    other = small_set(random_images(seed=1))
    with pytest.raises(
        ValueError, match=rf"`distilled` must be the set that .* labels, sha256 {small_set().sha256[:12]}"
    ):
        SoftLabels.open(labels.folder, distilled=other)


def test_there_must_be_a_store_to_open(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`folder` must hold a whole soft-label store.*soft_labels\.json"):
        SoftLabels.open(tmp_path)
    with pytest.raises(TypeError, match="`distilled` must be a DistilledSet; got str"):
        SoftLabels.create(tmp_path, distilled="set", views=VIEWS, num_views=1)


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


def test_the_range_of_float16_is_used_to_its_ends(tmp_path):
    logits = logits_of(0)
    logits[3, 1], logits[4, 2] = 65504.0, -65504.0
    store(tmp_path).write(0, logits)
    found = SoftLabels.open(tmp_path).logits(torch.tensor([3, 4]), 0)
    assert (float(found[0, 1]), float(found[1, 2])) == (65504.0, -65504.0)


def changed(place, value):
    logits = logits_of(0)
    logits[place] = value
    return logits


@pytest.mark.parametrize(
    ("logits", "error", "message"),
    [
        (logits_of(0).long(), TypeError, "`logits` must be a floating tensor; got torch.int64"),
        (logits_of(0).numpy(), TypeError, "`logits` must be a floating tensor; got ndarray"),
        (logits_of(0)[:11], ValueError, r"`logits` must have shape \(12, 4\).*got \(11, 4\)"),
        (logits_of(0).T, ValueError, r"got \(4, 12\)"),
        (changed((7, 2), torch.nan), ValueError, r"NaN or infinity at sample 7 of view 1 \(1 such samples\)"),
        (changed((7, 2), -torch.inf), ValueError, "`logits` must be finite; got .* sample 7 of view 1"),
        (changed((5, 0), 70000.0), ValueError, "at most 65504 in size.*got 70000 at sample 5 of view 1. Subtract"),
        (changed((5, 0), -65505.0), ValueError, "got 65505 at sample 5 of view 1"),
    ],
)
def test_logits_that_cannot_be_kept_are_refused_with_their_place(tmp_path, logits, error, message):
    made = store(tmp_path)
    with pytest.raises(error, match=message):
        made.write(1, logits)
    assert made.missing_views() == [0, 1, 2]


def test_the_compact_form_keeps_logits_beyond_float16_but_nothing_infinite(tmp_path):
    made = store(tmp_path, top_k=2)
    made.write(0, changed((5, 0), 1e6))
    assert made.logits(torch.tensor([5]), 0).exp()[0].tolist() == [1, 0, 0, 0]
    with pytest.raises(ValueError, match="`logits` must be finite; got NaN or infinity at sample 5 of view 1"):
        made.write(1, changed((5, 0), torch.inf))


@pytest.mark.parametrize("view", [-1, 3])
def test_a_view_beyond_the_store_is_refused(labels, view):
    with pytest.raises(ValueError, match=rf"`view` must be .* <= 2; got {view}. The store has 3 views"):
        labels.logits(torch.arange(12), view)
    with pytest.raises(ValueError, match="`view` must be"):
        labels.write(view, logits_of(0))


def test_a_sample_beyond_the_set_is_refused(labels):
    with pytest.raises(ValueError, match=r"`samples` must be positions in 0\.\.11; got 12"):
        labels.logits(torch.tensor([12]), 0)
    with pytest.raises(TypeError, match="`samples` must be an int64 tensor"):
        labels.logits([0], 0)


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


def test_objects_can_be_sent_to_other_processes(labels):
    before = pickle.dumps(SoftLabels.open(labels.folder))
    labels.logits(torch.arange(12), 0)
    sent = pickle.dumps(labels)
    assert sent == before  # no label goes along
    there = pickle.loads(sent)
    assert torch.equal(there.logits(torch.arange(12), 1), labels.logits(torch.arange(12), 1))
    assert there.facts == labels.facts


class LabelledSamples(torch.utils.data.Dataset):
    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return 36

    def __getitem__(self, position):
        return position, self.labels.logits(torch.tensor([position % 12]), position // 12)[0]


@pytest.mark.ddp
@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_of_a_data_loader_read_the_same_labels(labels, start):
    labels.logits(torch.arange(12), 0)  # a map that is open when workers are forked
    loader = torch.utils.data.DataLoader(
        LabelledSamples(labels), batch_size=5, num_workers=2, multiprocessing_context=start, shuffle=True
    )
    seen = {}
    for positions, logits in loader:
        seen.update(zip(positions.tolist(), logits, strict=True))
    for view in range(3):
        found = torch.stack([seen[12 * view + sample] for sample in range(12)])
        assert torch.equal(found, logits_of(view).half().float())


def write_share(folder, rank, num_ranks, num_views):
    torch.set_num_threads(1)
    made = SoftLabels.create(folder, distilled=small_set(), views=VIEWS, num_views=num_views)
    for view in range(rank, num_views, num_ranks):
        made.write(view, logits_of(view))
    # All at once: equal labels of one view from every process.
    made.write(0, logits_of(0))


@pytest.mark.ddp
def test_processes_create_and_write_one_store_together(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_share, args=(tmp_path, rank, 4, 20)) for rank in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE)
    assert [writer.exitcode for writer in writers] == [0] * 4
    made = SoftLabels.open(tmp_path, distilled=small_set())
    assert made.missing_views() == []
    for view in range(20):
        assert torch.equal(made.logits(torch.arange(12), view), logits_of(view).half().float())


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


@pytest.mark.ddp
@pytest.mark.slow
def test_a_writer_that_is_killed_anywhere_leaves_whole_views_only(tmp_path):
    script = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from test_soft_labels import logits_of, store
made = store({str(tmp_path)!r}, num_views=100000)
for view in made.missing_views():
    made.write(view, logits_of(view))
    print(view, flush=True)
"""
    for attempt in range(2):
        writer = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE)
        for _ in range(4):
            assert writer.stdout.readline()
        time.sleep(0.0017 * attempt)  # somewhere in a write
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
    made = store(tmp_path, num_views=100000)
    written = sorted(set(range(100000)) - set(made.missing_views()))
    assert len(written) >= 8
    assert written == list(range(len(written)))
    for view in written:
        assert torch.equal(made.logits(torch.arange(12), view), logits_of(view).half().float())


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
