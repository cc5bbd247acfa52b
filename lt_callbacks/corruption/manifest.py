from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lt_callbacks._checks import as_path, integer
from lt_callbacks._errors import ArgumentError, ArgumentFileError, ArgumentTypeError, ArgumentValueError
from lt_callbacks._files import canonical_json, sha256, write_bytes
from lt_callbacks._json_file import INTEGER, INTEGERS, OBJECT, TEXT, read_json, wrong_entry
from lt_callbacks.corruption.labels import checked_labels, integer_array

FORMAT = "lt_callbacks.manifest"
#: Where the true labels are known, and where nobody knows them.
FORMAT_VERSIONS = {"true_labels": 1, "source_labels": 2}

_ENTRIES = {
    "dataset": TEXT,
    "num_classes": INTEGER,
    "settings": OBJECT,
    "indices": INTEGERS,
    "given_labels": INTEGERS,
}

# Where a file lay is not part of what was done to the labels; what it held shows in the given labels.
LOCATIONS = ("given_labels_file", "given_labels_key", "transition_file")


@dataclass(frozen=True, kw_only=True, eq=False)
class Manifest:
    """A corrupted training set as a fact: which samples are in it, and which labels they carry.

    Sample k of the corrupted set is sample ``indices[k]`` of the original one. The labels of the original set are
    either true, or nobody knows which of them are: pass them as ``true_labels`` or as ``source_labels``. The arrays are
    copies and read-only. Two manifests are equal if their ``sha256`` is.

    Args:
        dataset: Name of the original data set; a remark, not part of ``sha256``.
        num_classes: C >= 2.
        indices: (N,) integer, ascending positions in the original training set.
        given_labels: (N,) integer in 0..C-1.
        settings: What made the set; JSON values only.
        true_labels: (N,) integer in 0..C-1, the original labels where they are true; None where the truth is unknown.
        source_labels: (N,) integer in 0..C-1, the original labels where the truth is unknown; those of ``true_labels``
            where these are given.

    Raises:
        TypeError: An array is not integer, or ``settings`` is not JSON.
        ValueError: Shapes disagree, a label is out of range, ``indices`` do not ascend, or no original labels.

    Example:
        >>> manifest = Manifest(
        ...     dataset="toy",
        ...     num_classes=2,
        ...     indices=[0, 2, 3, 5],
        ...     true_labels=[0, 0, 1, 1],
        ...     given_labels=[0, 1, 1, 1],
        ...     settings={},
        ... )
        >>> manifest.noise_rate
        0.25
        >>> manifest.realised_transition
        array([[0.5, 0.5],
               [0. , 1. ]])
    """

    dataset: str
    num_classes: int
    indices: NDArray[np.int64]
    given_labels: NDArray[np.int64]
    settings: dict[str, Any]
    true_labels: NDArray[np.int64] | None = None
    # An array since __post_init__.
    source_labels: NDArray[np.int64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if not isinstance(self.dataset, str) or not self.dataset:
            raise ArgumentValueError(
                "dataset", rule="be a name", got=repr(self.dataset), way_out="Use the name of the data source."
            )
        num_classes = integer("num_classes", self.num_classes, at_least=2)
        object.__setattr__(self, "num_classes", num_classes)
        original = self._original
        arrays = {
            "indices": integer_array("indices", self.indices),
            original: checked_labels(original, getattr(self, original), num_classes=num_classes),
            "given_labels": checked_labels("given_labels", self.given_labels, num_classes=num_classes),
        }
        if len({len(array) for array in arrays.values()}) != 1:
            lengths = ", ".join(f"`{name}` {len(array)}" for name, array in arrays.items())
            raise ArgumentValueError(
                "indices", rule="have the length of both labels", got=lengths, way_out="One of each a sample."
            )
        steps = np.diff(arrays["indices"])
        if (steps <= 0).any():
            where = int(np.argmax(steps <= 0))
            pair = arrays["indices"][where : where + 2].tolist()
            raise ArgumentValueError(
                "indices", rule="ascend", got=f"{pair} at index {where}", way_out="Sort indices and labels together."
            )
        for name, array in arrays.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "source_labels", arrays[original])
        try:
            settings = json.loads(canonical_json(self.settings))
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(
                "settings", rule="be JSON values", got=f"{self.settings!r}: {error}", way_out="Convert them."
            ) from error
        object.__setattr__(self, "settings", settings)

    def __len__(self) -> int:
        return len(self.indices)

    def __eq__(self, other: object) -> bool:
        return self.sha256 == other.sha256 if isinstance(other, Manifest) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def truth_is_known(self) -> bool:
        """Whether the labels before the noise are the true ones."""
        return self.true_labels is not None

    @property
    def num_changed(self) -> int:
        """Number of samples whose given label is not that of the original data set."""
        return int(np.sum(self.given_labels != self.source_labels))

    @property
    def noise_rate(self) -> float | None:
        """Share of the samples whose given label is wrong; None where the truth is unknown."""
        return self.num_changed / len(self) if self.truth_is_known else None

    @property
    def realised_transition(self) -> NDArray[np.float64] | None:
        """(C, C) share of true class i that carries label j; a class with no sample has a row of zeros.

        None where the truth is unknown.
        """
        if self.true_labels is None:
            return None
        pairs = np.bincount(self.true_labels * self.num_classes + self.given_labels, minlength=self.num_classes**2)
        counts = pairs.reshape(self.num_classes, self.num_classes)
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    @property
    def sha256(self) -> str:
        """SHA-256 of format version, C, N, settings (less the locations of files), positions and both labels.

        The same on every platform: numbers are hashed as little-endian 64-bit words, settings as JSON with sorted keys.
        """
        header = {
            "format": FORMAT,
            "format_version": FORMAT_VERSIONS[self._original],
            "num_classes": self.num_classes,
            "num_samples": len(self),
            "settings": _meaning(self.settings),
        }
        words = [getattr(self, name).astype("<i8").tobytes() for name in self._arrays]
        return sha256(b"".join([canonical_json(header), b"\n", *words]))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the manifest as one JSON file, whole or not at all; returns its path."""
        target = as_path("path", path)
        content = self._content()
        content["checksum"] = sha256(canonical_json(content))
        lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items()]
        return write_bytes(target, ("{\n" + ",\n".join(lines) + "\n}\n").encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Manifest:
        """Read a manifest that :meth:`save` wrote.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not a manifest, is truncated, was edited, or has another format version.
        """
        path = as_path("path", path)
        if not path.is_file():
            raise ArgumentFileError("path", rule="be a manifest file", got=repr(str(path)), way_out="Check the path.")
        try:
            content = read_json(path)
        except ValueError as error:
            raise _refusal(path, f"is damaged or truncated ({error})") from error
        if not isinstance(content, Mapping) or content.get("format") != FORMAT:
            raise _refusal(path, "is not a manifest")
        original = next((name for name, v in FORMAT_VERSIONS.items() if content.get("format_version") == v), None)
        if original is None:
            read = " and ".join(map(str, FORMAT_VERSIONS.values()))
            raise _refusal(
                path, f"has format version {content.get('format_version')!r} where this release reads {read}"
            )
        # Before the checksum, which says less.
        entries = {**_ENTRIES, original: INTEGERS}
        wrong = wrong_entry(content, {**entries, "sha256": TEXT})
        if wrong:
            raise _refusal(path, wrong)
        if not _checksum_fits(content):
            raise _refusal(path, "was edited or damaged: its checksum does not fit its content")
        try:
            found = cls(**{name: content[name] for name in entries})
        except ArgumentError as error:
            raise _refusal(path, f"has in `{error.argument}` what must {error.rule}: {error.got}") from error
        if found.sha256 != content["sha256"]:
            raise _refusal(path, "has another `sha256` than its content")
        return found

    @property
    def _original(self) -> str:
        """The field that holds the labels before the noise."""
        given = [name for name in FORMAT_VERSIONS if getattr(self, name) is not None]
        if not given:
            raise ArgumentValueError(
                "true_labels",
                rule="be given, or `source_labels` where nobody knows the true ones",
                got="neither",
                way_out="Pass the labels before the noise as one of the two.",
            )
        return given[0]

    @property
    def _arrays(self) -> tuple[str, ...]:
        return ("indices", self._original, "given_labels")

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSIONS[self._original],
            "sha256": self.sha256,
            "dataset": self.dataset,
            "num_classes": self.num_classes,
            "settings": self.settings,
            **{name: getattr(self, name).tolist() for name in self._arrays},
        }


def _meaning(settings: Any) -> Any:
    """``settings`` less locations and what is not set, so that a later release may add settings and keep the hashes."""
    if not isinstance(settings, Mapping):
        return settings
    kept = {name: value for name, value in settings.items() if name not in LOCATIONS and value is not None}
    return {name: _meaning(value) for name, value in kept.items()}


def _checksum_fits(content: Mapping[str, Any]) -> bool:
    body = {name: value for name, value in content.items() if name != "checksum"}
    try:
        return sha256(canonical_json(body)) == content.get("checksum")
    except (ValueError, RecursionError):  # what `save` never writes
        return False


def _refusal(path: Path, reason: str) -> ArgumentValueError:
    return ArgumentValueError(
        "path",
        rule="be a whole manifest as `Manifest.save` wrote it",
        got=f"{str(path)!r}, which {reason}",
        way_out="Restore the file, or build it again with `build_manifest` from its settings.",
    )
