from __future__ import annotations

import codecs
import io
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lt_callbacks._checks import one_of
from lt_callbacks._errors import ArgumentFileError, ArgumentValueError
from lt_callbacks.corruption.labels import checked_labels

SUFFIXES = (".npy", ".npz", ".pt", ".txt")
READ_ERRORS = (OSError, EOFError, TypeError, ValueError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile)


def load_given_labels(
    path: str | os.PathLike[str], *, key: str | None = None, num_classes: int, num_samples: int
) -> NDArray[np.int64]:
    """Read labels that people gave, one for each sample of the full original training set.

    Nothing is unpickled but what ``torch.load(weights_only=True)`` allows, plus plain numpy arrays: CIFAR-N's files
    are dictionaries of these.

    Args:
        path: ``.npy``; ``.npz`` or ``.pt`` (``key`` names the entry); ``.txt``, integers separated by white space.
        key: Entry of a file that holds several; for no other file.
        num_classes: C; labels are in 0..C-1.
        num_samples: Size of the full original training set.

    Returns:
        (num_samples,) int64.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: The file holds something else than integers.
        ValueError: The file cannot be read, ``key`` does not fit, the length is wrong or a label is out of range.
    """
    path = Path(path)
    one_of("given_labels_file", path.suffix, SUFFIXES, hint=f"The kind of {path.name!r} is told from its suffix.")
    if not path.is_file():
        raise ArgumentFileError("given_labels_file", rule="be a file", got=repr(str(path)), way_out="Check the path.")
    with _named_failure(path):
        content = _read(path)
    _check_key(content, key, path)
    with _named_failure(path):
        labels = np.asarray(content if key is None else content[key])
    if labels.ndim == 2 and 1 in labels.shape:
        labels = labels.reshape(-1)
    source = path.name if key is None else f"{path.name}[{key}]"
    labels = checked_labels("given_labels_file", labels, num_classes=num_classes, hint=f"Read from {source!r}.")
    if len(labels) != num_samples:
        raise ArgumentValueError(
            "given_labels_file",
            rule=f"hold one label for each of the {num_samples} samples of the full original training set",
            got=f"{len(labels)} in {path.name!r}",
            way_out="Do not subset the file: the positions kept by the imbalance are looked up in it.",
        )
    return labels


def _read(path: Path) -> Any:
    """An array, or a dictionary of arrays."""
    if path.suffix == ".txt":
        return np.array([int(word) for word in path.read_text().split()], dtype=np.int64)
    if path.suffix == ".pt":
        return _read_torch(path)
    return np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)


def _read_torch(path: Path) -> Any:
    # Imported here: the rest of the room needs numpy only.
    import torch
    from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

    # A copy: torch 2.4 gives out its own list.
    before = list(get_safe_globals())
    add_safe_globals(_numpy_globals())
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    finally:
        clear_safe_globals()
        add_safe_globals(before)


def _numpy_globals() -> list[Any]:
    """What a pickled numpy array of integers consists of, under the module names of numpy 1 and of numpy 2."""
    rebuild: Any = np.empty(0).__reduce__()[0]
    aliases = []
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):

        def alias(*arguments: Any) -> Any:
            return rebuild(*arguments)

        # torch compares the pickle's names with these; pairs of function and name are understood by newer releases only
        alias.__module__, alias.__name__, alias.__qualname__ = module, "_reconstruct", "_reconstruct"
        aliases.append(alias)
    return [*aliases, np.ndarray, np.dtype, *(type(np.dtype(code)) for code in "bhilqBHILQ"), codecs.encode]


def _check_key(content: Any, key: str | None, path: Path) -> None:
    if isinstance(content, Mapping):
        hint = f"{path.name!r} holds named arrays: choose one." if key is None else ""
        one_of("given_labels_key", key, [str(name) for name in content], hint=hint)
    elif key is not None:
        raise ArgumentValueError(
            "given_labels_key",
            rule="be left out for a file that holds one array",
            got=f"{key!r} for {path.name!r}",
            way_out="Remove it.",
        )


@contextmanager
def _named_failure(path: Path) -> Iterator[None]:
    """Turn what a reader raises on a bad file into one message that names the file."""
    try:
        yield
    except READ_ERRORS as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].strip().rstrip(".")
        raise ArgumentValueError(
            "given_labels_file",
            rule="be a whole file of plain arrays",
            got=f"{path.name!r}: {reason}",
            way_out="Write the labels again with `numpy.save(path, labels)`.",
        ) from error
