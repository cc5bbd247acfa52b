from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save
from stored import SETTINGS, Trainer, folder_of, get
from torch import nn

from lt_callbacks._files import sha256
from lt_callbacks.teachers import TeacherStore


def test_a_teacher_is_trained_once_and_reused(tmp_path):
    store, train = TeacherStore(tmp_path / "new" / "store"), Trainer()
    first, is_reused = get(store, train)
    assert not is_reused
    second, is_reused = get(TeacherStore(store.root), train)
    assert is_reused
    assert train.count == 1
    assert bool((second.weight == 7).all())
    assert torch.equal(first.bias, second.bias)


@pytest.mark.parametrize(
    "changes",
    [{"settings": {**SETTINGS, "max_epochs": 4}}, {"settings": {"objective": "elr"}}, {"data": "b" * 64}],
)
def test_another_setting_or_other_data_is_another_teacher(tmp_path, changes):
    store, train = TeacherStore(tmp_path), Trainer()
    get(store, train)
    assert not get(store, train, **changes)[1]
    assert train.count == 2


def test_the_key_is_the_content_and_not_its_order():
    key = TeacherStore.key({"a": 1, "b": {"c": [1, 2], "d": None}}, "f")
    assert key == TeacherStore.key({"b": {"d": None, "c": (1, 2)}, "a": 1}, "f")
    assert key != TeacherStore.key({"a": 1, "b": {"c": [2, 1], "d": None}}, "f")
    assert key != TeacherStore.key({"a": 1, "b": {"c": [1, 2], "d": None}}, "g")
    # A stored teacher has to be found by the next version too; FORMAT_VERSION says when it cannot be.
    assert key == "7d88720bea1f69e0787b0393dceb3a0f8a9fc4329b746d2b79cac1c5fa250317"


def test_settings_that_are_no_json_are_refused_before_training(tmp_path):
    train = Trainer()
    with pytest.raises(TypeError, match="not JSON serializable"):
        get(TeacherStore(tmp_path), train, settings={"weight": torch.zeros(1)})
    assert train.count == 0


def test_tied_weights_are_stored(tmp_path):
    def tied() -> nn.Module:
        module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        module[1].weight = module[0].weight
        return module

    store, train = TeacherStore(tmp_path), Trainer()
    get(store, train, module=tied())
    got, is_reused = get(store, train, module=tied())
    assert is_reused
    assert got[1].weight is got[0].weight
    assert bool((got[0].weight == 7).all())


def test_views_and_integers_are_stored(tmp_path):
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("turned", torch.arange(6.0).view(2, 3).T)
            self.register_buffer("count", torch.tensor(5))
            self.register_buffer("empty", torch.zeros(0, 2))

    store = TeacherStore(tmp_path)
    get(store, Trainer(), module=Odd())
    other = Odd()
    other.turned, other.count = torch.zeros(3, 2), torch.tensor(0)
    got, _ = get(store, Trainer(), module=other)
    assert torch.equal(got.turned, torch.arange(6.0).view(2, 3).T)
    assert got.count == 5


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("teacher.safetensors", "truncate"),
        ("teacher.safetensors", "edit"),
        ("teacher.safetensors", "remove"),
        ("teacher.json", "truncate"),
        ("teacher.json", "edit"),
    ],
)
def test_a_damaged_teacher_is_refused_by_name(tmp_path, name, damage):
    store, train = TeacherStore(tmp_path), Trainer()
    get(store, train)
    path = folder_of(store) / name
    content = path.read_bytes()
    if damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "edit":
        # Still of the right form: a weight, or a setting, of another value.
        path.write_bytes(content[:-1] + b"\x01" if name.endswith("safetensors") else content.replace(b"3", b"4", 1))
    else:
        path.unlink()
    with pytest.raises(
        ValueError, match=f"stored teacher '.*{folder_of(store).name}' must be as it was written.*Delete the folder"
    ):
        get(store, train)
    assert train.count == 1


@pytest.mark.parametrize("content", ["[]", "{}", '{"format": 1}', "null", "\ufffe"])
def test_facts_of_another_form_are_refused(tmp_path, content):
    store, train = TeacherStore(tmp_path), Trainer()
    get(store, train)
    (folder_of(store) / "teacher.json").write_text(content, encoding="utf-16")
    with pytest.raises(ValueError, match="must be as it was written"):
        get(store, train)
    (folder_of(store) / "teacher.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="must be as it was written"):
        get(store, train)


def test_another_format_is_refused(tmp_path):
    store, train = TeacherStore(tmp_path), Trainer()
    get(store, train)
    path = folder_of(store) / "teacher.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(ValueError, match="must be as it was written"):
        get(store, train)


def test_another_architecture_under_the_same_settings_is_refused(tmp_path):
    store, train = TeacherStore(tmp_path), Trainer()
    get(store, train)
    with pytest.raises(ValueError, match=r"must hold the weights of Linear.*weight \(3, 2\) instead of \(5, 2\)"):
        get(store, train, module=nn.Linear(2, 5))


def test_a_half_written_folder_is_not_read(tmp_path):
    store, train = TeacherStore(tmp_path), Trainer()
    get(store, train)
    folder = folder_of(store)
    # A run that was killed between the two files.
    (folder / "teacher.json").unlink()
    (folder / "teacher.safetensors").write_bytes(b"half")
    assert not get(store, train)[1]
    assert train.count == 2
    assert get(store, train)[1]


def test_a_training_that_failed_leaves_nothing_to_reuse(tmp_path):
    store = TeacherStore(tmp_path)

    def fail(module: nn.Module) -> None:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        get(store, fail)
    train = Trainer()
    assert not get(store, train)[1]
    assert train.count == 1


def test_the_file_says_what_was_trained(tmp_path):
    store = TeacherStore(tmp_path)
    get(store, Trainer())
    facts = json.loads((folder_of(store) / "teacher.json").read_text())
    assert facts["settings"] == SETTINGS
    assert facts["data"] == "a" * 64
    assert str(tmp_path) not in json.dumps(facts)


def test_a_store_keeps_nothing_but_teachers_and_its_log(tmp_path):
    store = TeacherStore(tmp_path)
    get(store, Trainer())
    files = {path.relative_to(tmp_path).parts[:2] for path in tmp_path.rglob("*") if path.is_file()}
    key = store.key(SETTINGS, "a" * 64)
    assert files == {(key, "teacher.json"), (key, "teacher.safetensors"), ("jobs", "log")}
    assert store.weights_sha256(key) == json.loads((tmp_path / key / "teacher.json").read_text())["weights_sha256"]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_teacher_that_is_not_finite_is_not_stored(tmp_path, value):
    class Diverged(Trainer):
        def __call__(self, module: nn.Module) -> None:
            super().__call__(module)
            with torch.no_grad():
                module.weight[1, 0] = value

    store = TeacherStore(tmp_path)
    with pytest.raises(
        RuntimeError, match=r"must end with finite weights to be stored; it came to \w+ in 'weight'. Train"
    ):
        get(store, Diverged())
    assert [event["event"] for event in store.log.events()] == ["training", "discarded"]
    # The next one finds nothing, and trains.
    assert not get(store, Trainer())[1]


def test_infinities_that_a_module_has_by_itself_are_stored(tmp_path):
    class Masked(nn.Linear):
        def __init__(self) -> None:
            super().__init__(2, 3)
            self.register_buffer("mask", torch.full((2, 2), -torch.inf).triu(1))

    store = TeacherStore(tmp_path)
    get(store, Trainer(), module=Masked())
    got, is_reused = get(store, Trainer(), module=Masked())
    assert is_reused
    assert torch.equal(got.mask, Masked().mask)


def test_stored_weights_that_are_not_finite_are_refused_by_name(tmp_path):
    """By a release that stored them, or by hand: the checksum fits."""
    store, train = TeacherStore(tmp_path), Trainer()
    get(store, train)
    folder = folder_of(store)
    content = save({"weight": torch.full((3, 2), torch.nan), "bias": torch.zeros(3)})
    (folder / "teacher.safetensors").write_bytes(content)
    facts = {**json.loads((folder / "teacher.json").read_text()), "weights_sha256": sha256(content)}
    (folder / "teacher.json").write_text(json.dumps(facts))
    with pytest.raises(
        ValueError, match=r"teacher.safetensors` must hold finite weights; got NaN in 'weight'. Restore"
    ):
        get(store, train)


def test_the_hash_of_a_damaged_teacher_is_refused_by_name(tmp_path):
    store = TeacherStore(tmp_path)
    get(store, Trainer())
    (folder_of(store) / "teacher.json").write_text('{"format": 2}')
    with pytest.raises(ValueError, match="stored teacher .* must be as it was written; teacher.json lacks the entry"):
        store.weights_sha256(folder_of(store).name)
