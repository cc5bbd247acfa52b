from __future__ import annotations

import codecs
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lt_callbacks._array_file import read_npy, read_npz
from lt_callbacks._checks import as_path, one_of
from lt_callbacks._errors import ArgumentFileError, ArgumentValueError, DataError
from lt_callbacks.corruption.labels import checked_labels

SUFFIXES = (".npy", ".npz", ".pt", ".txt")

#: Entries under which files keep the true labels (CIFAR-N: the first), and the position of each sample.
CLEAN_KEYS = ("clean_label", "clean_labels", "true_label", "true_labels")
ORDER_KEYS = ("index", "indices")

# Of torch and of numpy, beside those that say what is wrong.
READ_ERRORS = (
    OSError,
    EOFError,
    TypeError,
    ValueError,
    RuntimeError,
    LookupError,
    AttributeError,
    OverflowError,
    MemoryError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)
_NUMBER = re.compile(r"[+-]?[0-9]+")


def load_given_labels(
    path: str | os.PathLike[str], *, key: str | None = None, num_classes: int, clean_labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Read labels that people gave, one for each sample of the full original training set, in its order.

    The order is checked by what the file says of it: true labels of its own (``clean_label``, as CIFAR-N's files have)
    must be those of the data, and positions (``index``) must be 0..N-1. Where it says nothing, labels that agree with
    the data's no more often than by chance get a warning.

    Nothing is unpickled but what ``torch.load(weights_only=True)`` allows, plus plain numpy arrays: CIFAR-N's files
    are dictionaries of these.

    Args:
        path: ``.npy``; ``.npz`` or ``.pt`` (``key`` names the entry); ``.txt``, integers separated by white space.
        key: Entry of a file that holds several; for no other file.
        num_classes: C; labels are in 0..C-1.
        clean_labels: (N,) labels of the full original training set in 0..C-1.

    Returns:
        (N,) int64.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: The file holds something else than integers.
        ValueError: The file cannot be read, ``key`` does not fit, the length is wrong, a label is out of range, or the
            file is of data in another order.
    """
    path = as_path("given_labels_file", path)
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
    if len(labels) != len(clean_labels):
        raise ArgumentValueError(
            "given_labels_file",
            rule=f"hold one label for each of the {len(clean_labels)} samples of the full original training set",
            got=f"{len(labels)} in {path.name!r}",
            way_out="Do not subset the file: the positions kept by the imbalance are looked up in it.",
        )
    has_order = isinstance(content, Mapping) and _check_order(content, clean_labels, path)
    if not has_order and _agree_by_chance(labels, clean_labels, num_classes):
        warnings.warn(
            f"The labels of {source!r} agree with the data's in {np.mean(labels == clean_labels):.1%} of the samples, "
            "no more than by chance. Are they in the order of the data?",
            stacklevel=2,
        )
    return labels


def _check_order(content: Mapping[str, Any], clean_labels: NDArray[np.int64], path: Path) -> bool:
    """Refuse a file whose own true labels or positions are not the data's; whether it has any."""
    expected = {
        **dict.fromkeys(CLEAN_KEYS, (clean_labels, "the data's labels")),
        **dict.fromkeys(ORDER_KEYS, (np.arange(len(clean_labels)), "0, 1, 2, ...")),
    }
    found = [name for name in expected if name in content]
    for name in found:
        with _named_failure(path):
            own = np.asarray(content[name]).reshape(-1)
        values, meaning = expected[name]
        has_length = len(own) == len(values)
        num_wrong = int((own != values).sum()) if has_length else 0
        if num_wrong or not has_length:
            is_reordered = has_length and np.array_equal(np.sort(own), np.sort(values))
            difference = (
                f"where {num_wrong} of {len(own)} differ" if has_length else f"which has {len(own)} of {len(values)}"
            )
            raise ArgumentValueError(
                "given_labels_file",
                rule=f"have {meaning} as its {name!r}",
                got=f"{path.name!r}, {difference}{', the same in another order' if is_reordered else ''}",
                way_out="Put the labels in the order of the data: CIFAR-N's .pt files follow torchvision, those for "
                "TensorFlow another order."
                if is_reordered
                else "Is the file of this data set, and of its training part?",
            )
    return bool(found)


def _agree_by_chance(labels: NDArray[np.int64], clean_labels: NDArray[np.int64], num_classes: int) -> bool:
    """Whether the share of equal labels is within three standard deviations of that of shuffled ones, or below."""
    count = len(labels)
    shares = [np.bincount(some, minlength=num_classes) / count for some in (labels, clean_labels)]
    chance = float(shares[0] @ shares[1])
    # Few samples, or one class, say nothing.
    return count >= 100 and chance < 0.9 and np.mean(labels == clean_labels) <= chance + 3 * np.sqrt(chance / count)


def _read(path: Path) -> Any:
    """An array, or a dictionary of arrays."""
    if path.suffix == ".txt":
        return np.array([_number(word) for word in path.read_text().split()], dtype=np.int64)
    if path.suffix == ".pt":
        return _read_torch(path)
    return read_npy(path) if path.suffix == ".npy" else read_npz(path)


def _number(word: str) -> int:
    # Python also takes underscores and the digits of other scripts.
    if not _NUMBER.fullmatch(word):
        raise DataError(f"{word!r} is no integer")
    return int(word)


def _read_torch(path: Path) -> Any:
    # Imported here: the rest of the room needs numpy only.
    from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

    from lt_callbacks._tensor_file import read_torch_file

    # A copy: torch 2.4 gives out its own list.
    before = list(get_safe_globals())
    add_safe_globals(_numpy_globals())
    try:
        return read_torch_file(path)
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
