"""Several processes read and write one store of soft labels, and some of them are killed."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from patience import PATIENCE
from small_sets import small_set
from small_stores import VIEWS, logits_of, store, written_store

from lt_callbacks.distilled_set import SoftLabels

ROOT = Path(__file__).parents[2]


@pytest.fixture
def labels(tmp_path):
    return written_store(tmp_path / "labels")


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


@pytest.mark.ddp
@pytest.mark.slow
def test_a_writer_that_is_killed_anywhere_leaves_whole_views_only(tmp_path):
    script = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from small_stores import logits_of, store
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
