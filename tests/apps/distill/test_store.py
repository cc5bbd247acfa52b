from __future__ import annotations

import threading

import pytest
import torch
from patience import PATIENCE

from lt_callbacks.apps.distill.store import DistilledStore
from lt_callbacks.distilled_set import DistilledSet, Views, ViewSettings

SETTINGS = {"distiller": "edc", "settings": {"num_steps": 2}, "images_per_class": 3, "seed": 0, "networks": ["a"]}
VIEWS = ViewSettings(seed=0, crop="none")
MADE_WITH = {"networks": ["a"], "precision": "32-true", "views": VIEWS, "num_views": 3}


def some_set(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return DistilledSet(
        images=torch.randint(0, 256, (6, 1, 4, 4), dtype=torch.uint8, generator=generator),
        intended_class=torch.arange(6) % 3,
        class_names=("a", "b", "c"),
        mean=(0.5,),
        std=(0.25,),
        provenance={"method": "some"},
    )


class Maker:
    """A distiller that counts."""

    def __init__(self, *seeds):
        self.seeds, self.calls = list(seeds) or [0], 0

    def __call__(self):
        seed = self.seeds[min(self.calls, len(self.seeds) - 1)]
        self.calls += 1
        return some_set(seed)


@pytest.fixture
def store(tmp_path):
    return DistilledStore(tmp_path)


def test_a_set_is_made_once(store):
    make = Maker(0, 1)
    first, key, was_there = store.get_or_make(SETTINGS, make)
    assert (first, was_there, make.calls) == (some_set(0), False, 1)
    again, same_key, is_there = DistilledStore(store.root.parent).get_or_make(dict(reversed(SETTINGS.items())), make)
    assert (again, same_key, is_there, make.calls) == (first, key, True, 1)
    assert again.provenance == {"method": "some"}
    assert DistilledSet.load(store.root / key) == first
    assert len(key) == 64


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"networks": ["b"]}, {"networks": ["a", "b"]}, {"images_per_class": 2}, {"distiller": "sre2l"},
     {"settings": {"num_steps": 3}}, {"data": "x"}],
)  # fmt: skip
def test_a_set_of_other_settings_is_another_one(store, change):
    make = Maker(0, 1)
    _, first, _ = store.get_or_make(SETTINGS, make)
    other, second, was_there = store.get_or_make({**SETTINGS, **change}, make)
    assert (first != second, was_there, other) == (True, False, some_set(1))


def test_a_set_that_was_not_saved_whole_is_made_again(store):
    _, key, _ = store.get_or_make(SETTINGS, Maker())
    folder = store.root / key
    # Killed between its two files.
    (folder / "distilled.json").unlink()
    made, _, was_there = store.get_or_make(SETTINGS, Maker())
    assert (made, was_there) == (some_set(0), False)
    # On a GPU the second try need not give the very same pixels; nor need the disk have kept all of the first.
    (folder / "distilled.json").unlink()
    (folder / "images.safetensors").write_bytes((folder / "images.safetensors").read_bytes()[:-5])
    made, _, was_there = store.get_or_make(SETTINGS, Maker(1))
    assert (made, was_there) == (some_set(1), False)
    assert store.get_or_make(SETTINGS, Maker())[0] == some_set(1)


def test_a_maker_that_fails_leaves_no_set(store):
    def fail():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="^out of memory$"):
        store.get_or_make(SETTINGS, fail)
    assert store.get_or_make(SETTINGS, Maker())[2] is False


@pytest.mark.parametrize("name", ["images.safetensors", "distilled.json"])
def test_a_truncated_file_is_refused_by_name(store, name):
    _, key, _ = store.get_or_make(SETTINGS, Maker())
    file = store.root / key / name
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(ValueError, match=rf"^`folder` must hold a whole distilled set, .*{key}/{name}', which is "):
        store.get_or_make(SETTINGS, Maker())


def test_jobs_that_need_the_same_set_make_it_once(store):
    started, go_on, calls, found = threading.Event(), threading.Event(), [], []

    def make():
        calls.append(threading.current_thread().name)
        started.set()
        go_on.wait(PATIENCE)
        return some_set()

    def job():
        found.append(DistilledStore(store.root.parent).get_or_make(SETTINGS, make))

    jobs = [threading.Thread(target=job) for _ in range(2)]
    jobs[0].start()
    assert started.wait(PATIENCE)
    jobs[1].start()
    # The second has time to run into the lock.
    jobs[1].join(0.2)
    go_on.set()
    for each in jobs:
        each.join(PATIENCE)
    assert len(calls) == 1
    assert [was_there for _, _, was_there in found] == [False, True]
    assert found[0][0] == found[1][0]


# Labels.


def logits_of(view):
    return torch.full((6, 3), float(view)) + torch.arange(3)


def test_labels_lie_with_their_set_and_go_on_where_they_were(store):
    distilled, key, _ = store.get_or_make(SETTINGS, Maker())
    with store.labels(key, distilled, **MADE_WITH) as labels:
        assert labels.missing_views() == [0, 1, 2]
        assert labels.folder.parent == store.root / key
        assert (labels.views, labels.calibration) == (VIEWS, None)
        labels.write(0, logits_of(0))
        labels.write(2, logits_of(2))
    # What a killed process was writing.
    (labels.folder / ".view-00001.safetensors.0123.tmp").write_bytes(b"half")
    with store.labels(key, distilled, **MADE_WITH) as again:
        assert again.folder == labels.folder
        assert again.missing_views() == [1]
        again.write(1, logits_of(1))
        assert again.missing_views() == []
    for view in range(3):
        assert torch.equal(again.logits(torch.arange(6), view), logits_of(view))


@pytest.mark.parametrize(
    "change",
    [{"networks": ["b"]}, {"networks": ["a", "b"]}, {"precision": "bf16-mixed"}, {"num_views": 2},
     {"views": ViewSettings(seed=1, crop="none")}, {"views": ViewSettings(seed=0, crop="none", flip=True)}],
)  # fmt: skip
def test_other_labels_of_a_set_lie_beside_it(store, change):
    distilled, key, _ = store.get_or_make(SETTINGS, Maker())
    with store.labels(key, distilled, **MADE_WITH) as labels:
        labels.write(0, logits_of(0))
    with store.labels(key, distilled, **{**MADE_WITH, **change}) as others:
        assert 0 in others.missing_views()
        assert others.folder != labels.folder
        assert others.folder.parent == labels.folder.parent
    # The set itself is not disturbed by them.
    assert store.get_or_make(SETTINGS, Maker())[2] is True


def test_a_truncated_view_is_refused_by_name(store):
    distilled, key, _ = store.get_or_make(SETTINGS, Maker())
    with store.labels(key, distilled, **MADE_WITH) as labels:
        labels.write(0, logits_of(0))
    file = labels.folder / "view-00000.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with (
        store.labels(key, distilled, **MADE_WITH) as labels,
        pytest.raises(ValueError, match="view-00000.safetensors', which is truncated or damaged"),
    ):
        labels.logits(torch.arange(6), 0)


def test_jobs_that_need_the_same_labels_wait_for_each_other(store):
    distilled, key, _ = store.get_or_make(SETTINGS, Maker())
    seen = []

    def job():
        with DistilledStore(store.root.parent).labels(key, distilled, **MADE_WITH) as labels:
            seen.append(labels.missing_views())

    with store.labels(key, distilled, **MADE_WITH) as labels:
        other = threading.Thread(target=job)
        other.start()
        other.join(0.2)
        assert seen == []
        for view in range(3):
            labels.write(view, logits_of(view))
    other.join(PATIENCE)
    assert seen == [[]]


def test_labels_can_be_learned_from(store):
    distilled, key, _ = store.get_or_make(SETTINGS, Maker())
    with store.labels(key, distilled, **MADE_WITH) as labels:
        assert labels.views == Views(distilled, VIEWS).settings
        assert labels.facts.distilled_sha256 == distilled.sha256
