from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lt_callbacks._errors import DataError
from lt_callbacks._json_file import FLAG, INTEGER, INTEGERS, NUMBER, NUMBERS, TEXT, TEXTS, Fields, optional, wrong_entry


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of a trained network: the content of ``model.json``.

    Attributes:
        network: Its name, see `lt_callbacks.models.build_model`.
        head: Its last layer, ``"linear"`` or ``"cosine"``.
        width: Channels of its first stage; None: the network's usual one.
        channels_last: Whether it runs in channels-last memory format.
        class_names: In the order of its logits.
        image_size: Height and width of an image that it takes, in pixels.
        resize: A picture is made as small as still covers so many times ``image_size``; then its centre is cut out.
        mean: One a channel, of pixels scaled to [0, 1].
        std: One a channel.
        method: Row of the table that it is, as ``methods`` of `lt-train` names it.
        title: That row as the table calls it.
        seed: Training seed of it.
        accuracy: In percent.
        scored_on: What ``accuracy`` was measured on, such as ``"the test set"``.
        data: Name of the data set that it was trained on.
        training: Identity of the training that it came from.
        package_version: Of lt_callbacks, which wrote it.
    """

    network: str
    head: str
    width: int | None
    channels_last: bool
    class_names: tuple[str, ...]
    image_size: tuple[int, int]
    resize: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    method: str
    title: str
    seed: int
    accuracy: float
    scored_on: str
    data: str
    training: str
    package_version: str

    @property
    def in_channels(self) -> int:
        """Channels of an image that it takes."""
        return len(self.mean)

    def summary(self) -> str:
        """One line for people: row, seed, score, data, network."""
        return (
            f"{self.title}, seed {self.seed}: {self.accuracy:.1f} % of {self.scored_on}; {self.data}, "
            f"{len(self.class_names)} classes, {self.network}"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values, in groups."""
        flat = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        grouped = {group: {name: flat.pop(field) for name, field in names.items()} for group, names in _GROUPS.items()}
        return {**flat, **grouped, "in_channels": self.in_channels}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelFacts:
        """The facts that `to_dict` gave.

        Raises:
            ValueError: An entry is missing, unknown or of another type.
        """
        wrong = wrong_entry(values, _ENTRIES)
        if wrong:
            raise DataError(f"`model.json` must have the entries of a trained network; it {wrong}.")
        flat = dict(values)
        try:
            channels = flat.pop("in_channels")
            for group, names in _GROUPS.items():
                entries = flat.pop(group)
                flat.update({names.get(name, f"{group}.{name}"): value for name, value in entries.items()})
            made: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in flat.items()}
            facts = cls(**made)
            fits = channels == len(facts.mean) == len(facts.std) and len(facts.image_size) == 2
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(f"`model.json` must have the entries of a trained network ({error}).") from error
        if not fits:
            raise DataError(
                "`model.json` must have channels, mean, deviation and image size that fit each other: "
                f"{channels} in `in_channels`, {len(facts.mean)} in `mean`, {len(facts.std)} in `std`, "
                f"{len(facts.image_size)} in `image_size`."
            )
        return facts


_ENTRIES: Fields = {
    "network": {"name": TEXT, "head": TEXT, "width": optional(INTEGER), "channels_last": FLAG},
    "row": {"method": TEXT, "title": TEXT, "seed": INTEGER, "training": TEXT},
    "score": {"accuracy": NUMBER, "on": TEXT},
    "class_names": TEXTS,
    "image_size": INTEGERS,
    "resize": NUMBER,
    "mean": NUMBERS,
    "std": NUMBERS,
    "data": TEXT,
    "package_version": TEXT,
    "in_channels": INTEGER,
}

# Group of the file -> entry in it -> field.
_GROUPS = {
    "network": {"name": "network", "head": "head", "width": "width", "channels_last": "channels_last"},
    "row": {"method": "method", "title": "title", "seed": "seed", "training": "training"},
    "score": {"accuracy": "accuracy", "on": "scored_on"},
}
