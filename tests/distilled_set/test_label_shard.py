import hashlib
import json
import os
import shutil
import time

import numpy as np
import pytest

from lt_callbacks.distilled_set.label_shard import open_shard, shard_path, write_shard

FACTS = "ab" * 32
LAYOUT = {"classes": (np.uint16, (5, 2)), "gaps": (np.uint8, (5, 1)), "range": (np.float16, (5,))}
# In no order: neither the file nor its checksum depends on it.
PARTS = {
    "range": np.linspace(0, 9, 5).astype(np.float16),
    "classes": np.arange(10, dtype=np.uint16).reshape(5, 2) * 100,
    "gaps": np.arange(5, dtype=np.uint8).reshape(5, 1),
}


@pytest.fixture
def path(tmp_path):
    return write_shard(tmp_path, PARTS, view=3, facts=FACTS)


def opened(folder, *, view=3, facts=FACTS, layout=LAYOUT):
    return open_shard(folder, layout, view=view, facts=facts)[0]


def test_parts_are_read_as_they_were_written_and_lie_on_disk(tmp_path, path):
    assert path.name == "view-00003.safetensors"
    found = opened(tmp_path)
    assert found.keys() == PARTS.keys()
    for name, part in PARTS.items():
        assert isinstance(found[name], np.memmap)
        assert found[name].dtype == part.dtype
        assert np.array_equal(found[name], part)
        with pytest.raises(ValueError, match="read-only"):
            found[name][0] = 0


def test_safetensors_reads_it_too(path):
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        metadata = file.metadata()
        for name, part in PARTS.items():
            assert np.array_equal(file.get_tensor(name), part)
    found = json.loads(metadata["soft_labels"])
    assert (found["view"], found["facts"]) == (3, FACTS)
    data = [PARTS[name].tobytes() for name in ("classes", "gaps", "range")]
    expected = b'{"facts":"' + FACTS.encode() + b'","view":3}\n' + b"".join(data)
    assert found["checksum"] == hashlib.sha256(expected).hexdigest()


def test_equal_labels_are_equal_files(tmp_path, path):
    content = path.read_bytes()
    for _ in range(5):
        path.unlink()
        assert write_shard(tmp_path, PARTS, view=3, facts=FACTS).read_bytes() == content


def test_an_empty_part_is_read(tmp_path):
    parts = {**PARTS, "gaps": np.zeros((5, 0), dtype=np.uint8)}
    write_shard(tmp_path, parts, view=0, facts=FACTS)
    found = opened(tmp_path, view=0, layout={**LAYOUT, "gaps": (np.uint8, (5, 0))})
    assert found["gaps"].shape == (5, 0)
    assert np.array_equal(found["classes"], PARTS["classes"])


def test_a_view_that_is_not_there_is_named(tmp_path, path):
    with pytest.raises(FileNotFoundError, match=r"view-00004\.safetensors'. Write it first; `missing_views\(\)`"):
        opened(tmp_path, view=4)


def test_a_renamed_shard_is_refused(tmp_path, path):
    shutil.copy(path, shard_path(tmp_path, 4))
    with pytest.raises(ValueError, match=r"view-00004\.safetensors', which holds view 3: it was renamed"):
        opened(tmp_path, view=4)


def test_a_shard_of_another_store_is_refused(tmp_path, path):
    with pytest.raises(ValueError, match=r"view-00003\.safetensors', which belongs to another store"):
        opened(tmp_path, facts="cd" * 32)


@pytest.mark.parametrize("layout", [{"gaps": (np.uint8, (5, 2))}, {"classes": (np.uint8, (5, 2))}])
def test_a_shard_of_another_layout_is_refused(tmp_path, path, layout):
    name = next(iter(layout))
    with pytest.raises(ValueError, match=rf"view-00003\.safetensors', which has no `{name}` of dtype"):
        opened(tmp_path, layout={**LAYOUT, **layout})


def test_every_truncation_is_refused_by_name(tmp_path, path):
    content = path.read_bytes()
    for num_bytes in range(len(content)):
        path.write_bytes(content[:num_bytes])
        with pytest.raises(ValueError, match=r"view-00003\.safetensors', which (is truncated|has no)"):
            opened(tmp_path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="is truncated or damaged: it has"):
        opened(tmp_path)


def test_every_changed_byte_is_refused_by_name(tmp_path, path):
    content = path.read_bytes()
    header_bytes = 8 + int.from_bytes(content[:8], "little")
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << (3 * position % 8)
        if changed[:header_bytes].split() == content[:header_bytes].split() and position < header_bytes:
            continue  # another white space in the header
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"view-00003\.safetensors'"):
            opened(tmp_path)


def test_a_number_changed_with_a_right_header_is_noticed(tmp_path, path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="was edited or damaged: its checksum does not fit its content"):
        opened(tmp_path)


@pytest.mark.parametrize("header", [[], {"__metadata__": []}, {"classes": 3}, {"classes": {"data_offsets": "x"}}, 7])
def test_a_header_of_something_else_is_refused(tmp_path, path, header):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ValueError, match=r"view-00003\.safetensors'"):
        opened(tmp_path)


def test_bytes_are_checked_again_only_if_the_file_is_another_one(tmp_path, path):
    _, identity = open_shard(tmp_path, LAYOUT, view=3, facts=FACTS)
    assert open_shard(tmp_path, LAYOUT, view=3, facts=FACTS, checked=identity)[1] == identity
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.unlink()
    path.write_bytes(content)
    with pytest.raises(ValueError, match="checksum"):
        open_shard(tmp_path, LAYOUT, view=3, facts=FACTS, checked=identity)


def test_bytes_changed_in_place_with_the_old_time_are_noticed(tmp_path, path):
    _, identity = open_shard(tmp_path, LAYOUT, view=3, facts=FACTS)
    before = path.stat()
    time.sleep(0.02)
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\xff")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ValueError, match="checksum does not fit its content"):
        open_shard(tmp_path, LAYOUT, view=3, facts=FACTS, checked=identity)
