from __future__ import annotations

import pytest

from lt_callbacks.teachers.replaced import replaced


class Thing:
    def method(self) -> str:
        return "own"


@pytest.mark.parametrize("fails", [False, True])
def test_attributes_of_the_instance_are_others_for_a_time(fails):
    thing, other = Thing(), Thing()
    thing.value = 1
    try:
        with replaced(thing, method=lambda: "another", value=2):
            assert (thing.method(), thing.value, other.method()) == ("another", 2, "own")
            if fails:
                raise KeyError("on purpose")
    except KeyError:
        assert fails
    assert vars(thing) == {"value": 1}
    assert thing.method() == "own"
