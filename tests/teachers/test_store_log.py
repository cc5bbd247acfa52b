from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta, timezone
from threading import Thread

import pytest

from lt_callbacks.teachers.store_log import StoreLog


def test_a_store_that_nobody_used_has_no_events(tmp_path):
    assert StoreLog(tmp_path / "absent").events() == []
    assert not (tmp_path / "absent").exists()


def test_an_event_says_who_did_what_and_when(tmp_path):
    before = datetime.now(timezone.utc)
    StoreLog(tmp_path / "new" / "log").add("training", "a" * 64)
    (event,) = StoreLog(tmp_path / "new" / "log").events()
    told = datetime.fromisoformat(str(event.pop("time")))
    # Told to the millisecond.
    assert before - timedelta(milliseconds=1) <= told <= datetime.now(timezone.utc)
    assert event == {
        "event": "training",
        "teacher": "a" * 64,
        "host": socket.gethostname(),
        "process": os.getpid(),
    }


def test_events_come_in_the_order_in_which_they_happened(tmp_path):
    log = StoreLog(tmp_path)
    told = [("training", "b"), ("training", "a"), ("stored", "a"), ("discarded", "b"), ("training", "c")]
    for event, key in told:
        log.add(event, key)
    assert [(event["event"], event["teacher"]) for event in log.events()] == told


def test_events_of_many_writers_at_once_are_all_there(tmp_path):
    writers = [
        Thread(target=lambda name=name: [StoreLog(tmp_path).add("training", f"{name}-{i}") for i in range(10)])
        for name in "abcd"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events = StoreLog(tmp_path).events()
    assert len(events) == 40
    assert {event["teacher"] for event in events} == {f"{name}-{i}" for name in "abcd" for i in range(10)}


def test_two_events_of_one_instant_are_two(tmp_path, monkeypatch):
    monkeypatch.setattr("lt_callbacks.teachers.store_log.time.time_ns", lambda: 1_000_000)
    for _ in range(3):
        StoreLog(tmp_path).add("training", "a")
    assert len(StoreLog(tmp_path).events()) == 3


def test_an_event_that_is_being_written_is_not_read(tmp_path):
    log = StoreLog(tmp_path)
    log.add("training", "a")
    # As `write_bytes` calls what is not whole yet.
    (tmp_path / ".1-2.json.0123.tmp").write_text('{"event": "tra')
    assert [event["event"] for event in log.events()] == ["training"]


@pytest.mark.parametrize("content", ['{"event": "tra', "{}", "[]", '{"time": 3, "event": "a", "teacher": "b"}'])
def test_a_damaged_event_is_named(tmp_path, content):
    (tmp_path / "1-2.json").write_text(content)
    with pytest.raises(
        ValueError, match=r"The event '.*1-2\.json' must be as it was written; it .* Delete it; nothing"
    ):
        StoreLog(tmp_path).events()
