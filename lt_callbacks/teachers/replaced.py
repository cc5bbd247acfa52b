from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_ABSENT = object()


@contextmanager
def replaced(instance: object, **values: Any) -> Iterator[None]:
    """Attributes of one instance that are others inside a ``with``, and as before afterwards, also after an error."""
    before = {name: vars(instance).get(name, _ABSENT) for name in values}
    for name, value in values.items():
        setattr(instance, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is _ABSENT:
                vars(instance).pop(name, None)
            else:
                vars(instance)[name] = value
