from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lt_callbacks._checks import integer
from lt_callbacks._errors import ArgumentError, ArgumentTypeError
from lt_callbacks._json_file import ANYTHING, COUNT, OBJECT, TEXT, Fields, optional
from lt_callbacks.distilled_set.compact_labels import checked_top_k
from lt_callbacks.distilled_set.facts_file import facts_checksum, json_values, read_facts, refusal, write_facts
from lt_callbacks.distilled_set.view_settings import ViewSettings

FORMAT = "lt_callbacks.soft_labels"
FORMAT_VERSION = 1
FACTS = "soft_labels.json"

KIND = "a whole soft-label store"
WAY_OUT = "Restore the folder from where it came, or delete it and label again."


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """What the labels of a store are labels of, and how they are kept.

    Args:
        distilled_sha256: ``DistilledSet.sha256`` of the labelled set.
        num_images: N >= 1.
        num_classes: C >= 2.
        views: How the labelled images were varied.
        num_views: Views 0..num_views-1 are labelled, >= 1.
        calibration: What was done to the logits, as JSON values; None: nothing.
        top_k: Classes kept a label in the compact form; None: all, as float16 logits.

    Raises:
        TypeError, ValueError: A value has another type or is out of its range.
    """

    distilled_sha256: str
    num_images: int
    num_classes: int
    views: ViewSettings
    num_views: int
    calibration: Mapping[str, Any] | None = None
    top_k: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.views, ViewSettings):
            raise ArgumentTypeError(
                "views", rule="be ViewSettings", got=type(self.views).__name__, way_out="Pass those of the Views."
            )
        integer("num_views", self.num_views, at_least=1)
        if self.calibration is not None:
            object.__setattr__(self, "calibration", json_values("calibration", self.calibration))
        if self.top_k is not None:
            object.__setattr__(self, "top_k", checked_top_k(self.top_k, self.num_classes))

    def to_dict(self) -> dict[str, Any]:
        """The facts as JSON values, as the file holds them less the checksum."""
        form = {"kind": "float16"} if self.top_k is None else {"kind": "compact", "top_k": self.top_k}
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "distilled_sha256": self.distilled_sha256,
            "num_images": self.num_images,
            "num_classes": self.num_classes,
            "views": self.views.to_dict(),
            "num_views": self.num_views,
            "form": form,
            "calibration": self.calibration,
        }

    @property
    def checksum(self) -> str:
        """SHA-256 of all facts; every file of the store carries it."""
        return facts_checksum(self.to_dict())

    def save(self, folder: Path) -> None:
        """Write the facts into ``folder`` as ``soft_labels.json``."""
        write_facts(folder / FACTS, self.to_dict())

    @classmethod
    def load(cls, folder: Path) -> LabelFacts:
        """Read the facts from ``soft_labels.json`` in ``folder``.

        Raises:
            FileNotFoundError: It is missing.
            ValueError: It is damaged, was edited or is of another format version.
        """
        path = folder / FACTS
        found = read_facts(
            path, kind=KIND, format_name=FORMAT, format_version=FORMAT_VERSION, way_out=WAY_OUT, entries=_ENTRIES
        )
        try:
            made = cls(
                views=ViewSettings.from_dict(found["views"]),
                top_k=found["form"].get("top_k"),
                **{name: found[name] for name in _PLAIN},
            )
        except ArgumentError as error:
            name = "views" if error.argument == "values" else error.argument
            reason = f"has in `{name}` what must {error.rule}: {error.got}"
            raise refusal(path, KIND, reason, WAY_OUT) from error
        # What is missing would have been filled in.
        other = next((name for name, value in made.to_dict().items() if found.get(name) != value), None)
        if other:
            raise refusal(path, KIND, f"has in `{other}` {found[other]!r} and not all of its settings", WAY_OUT)
        return made


_ENTRIES: Fields = {
    "distilled_sha256": TEXT,
    "num_images": COUNT,
    "num_classes": COUNT,
    "num_views": COUNT,
    "views": {field.name: ANYTHING for field in fields(ViewSettings)},
    "form": {"kind": TEXT},
    "calibration": optional(OBJECT),
}
_PLAIN = ("distilled_sha256", "num_images", "num_classes", "num_views", "calibration")
