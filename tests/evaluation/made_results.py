"""Small results that several test files share."""

from __future__ import annotations

from typing import Any

from lt_callbacks.evaluation import MethodResult


def method_result(method: str = "CE", seed: int = 0, accuracy: float = 50.0, **changes: Any) -> MethodResult:
    values: dict[str, Any] = {
        "method": method,
        "seed": seed,
        "accuracy": accuracy,
        "many": 80.0,
        "medium": 50.0,
        "few": 20.0,
        "per_class": (80.0, 50.0, 20.0),
        "seconds": 1.5,
    }
    return MethodResult(**{**values, **changes})
