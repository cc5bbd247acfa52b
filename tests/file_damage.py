"""What can happen to a file, and what the package then makes of it."""

from __future__ import annotations

import io
import pickle
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from damaged_files import FileKind, RunsCode, pixels

from lt_callbacks._errors import UserError

FOLDER = "a folder"

FLIPS = [place / 24 for place in range(25)]
CUTS = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)


def damages(content: bytes, marker: Path) -> Iterator[tuple[str, bytes | None]]:
    """Name of each damage, whose first word is its class, and the file's content after it; None for a folder."""
    size = len(content)
    yield "empty", b""
    for share in CUTS:
        yield f"cut to {share:g}", content[: int(share * size)]
    yield "cut by a byte", content[:-1]
    for share in FLIPS:
        place = min(int(share * size), size - 1)
        yield f"flipped at {share:.3g}", content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]
    for share in (0.2, 0.5, 0.8):
        place = int(share * size)
        yield f"zeroed at {share}", content[:place] + bytes(min(64, size - place)) + content[place + 64 :]
    yield "appended", content + b"7"
    yield "random", np.random.default_rng(0).bytes(size)
    yield "code in a pickle", pickle.dumps({"weight": RunsCode(marker)}, protocol=2)
    for name, options in (("a torch file", {}), ("an old torch file", {"_use_new_zipfile_serialization": False})):
        buffer = io.BytesIO()
        torch.save({"state_dict": {"weight": RunsCode(marker)}}, buffer, **options)
        yield f"code in {name}", buffer.getvalue()
    for name, save in (("an array", np.save), ("arrays", lambda to, value: np.savez(to, a=value))):
        buffer = io.BytesIO()
        save(buffer, np.array([RunsCode(marker)], dtype=object))
        yield f"code in {name}", buffer.getvalue()
    picture = io.BytesIO()
    pixels(20).save(picture, "PNG")
    yield "swapped for a picture", picture.getvalue()
    yield "swapped for JSON", b'{"format": "something else"}\n'
    yield "swapped for a list", b"[1, 2, 3]\n"
    yield "swapped for deep JSON", b"[" * 100_000
    yield FOLDER, None


def outcome(kind: FileKind, path: Path, whole: object) -> str:
    """``refused``, ``whole`` or ``unnoticed``; otherwise what went wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = kind.read(path)
    except UserError as error:
        # A store or a set is named by its folder.
        is_named = path.name in str(error) or str(path.parent) in str(error)
        return "refused" if is_named else f"an error that does not name the file: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "whole" if found == whole else "unnoticed"


def outcomes(kind: FileKind, folder: Path, *, only: tuple[str, ...] | None = None) -> dict[str, str]:
    """What came of each damage to a file of this kind."""
    folder.mkdir()
    path, marker = kind.make(folder), folder.parent / "ran"
    content, whole = path.read_bytes(), kind.read(path)
    assert kind.read(path) == whole
    found = {}
    for name, damaged in damages(content, marker):
        if only is not None and name not in only:
            continue
        # What a run leaves beside it, such as a teacher that was trained again.
        shutil.rmtree(folder)
        folder.mkdir()
        path = kind.make(folder)
        if damaged is None:
            path.unlink()
            path.mkdir()
        else:
            path.write_bytes(damaged)
        found[name] = outcome(kind, path, whole)
        assert not marker.exists(), f"{name}: code ran"
    return found


def wrong(kind: FileKind, found: dict[str, str]) -> dict[str, str]:
    """The outcomes that must not be."""
    fine = {"refused", "whole"}
    return {
        name: what
        for name, what in found.items()
        if what not in fine and not (what == "unnoticed" and name.split()[0] in kind.unnoticed)
    }
