from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lt_callbacks._errors import ArgumentValueError, DataError
from lt_callbacks._pictures import read_picture
from lt_callbacks.data.image_set import Source

#: Up to so many files all are looked at; of more only those of the test, which a training meets last.
ALL_UP_TO = 20_000

_MOST_NAMED = 5


def check_pictures(source: Source) -> None:
    """Read the image files of a data set once, so that a damaged one is found before anything is trained.

    Training files beyond 20,000 are left to the first epoch, which meets them anyway.

    Raises:
        ValueError: Some cannot be read; the first five are named, with the reason of the first.
    """
    test = _files(None if source.test is None else source.test.images)
    files = [*test, *_files(source.train.images)]
    files = files if len(files) <= ALL_UP_TO else [*test]
    # Pillow decodes outside of Python's lock.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as threads:
        reasons = [(file, reason) for file, reason in zip(files, threads.map(_reason, files), strict=True) if reason]
    if reasons:
        named = ", ".join(str(file) for file, _ in reasons[:_MOST_NAMED])
        more = f" and {len(reasons) - _MOST_NAMED} more" if len(reasons) > _MOST_NAMED else ""
        raise ArgumentValueError(
            "data",
            rule="hold pictures that can be read",
            got=f"{len(reasons)} that cannot: {named}{more}. {reasons[0][1].rstrip('.')}",
            way_out="None was trained on.",
        )


def _files(images: object) -> Sequence[Path]:
    return images if isinstance(images, tuple) else ()


def _reason(file: Path) -> str | None:
    try:
        read_picture(file)
    except DataError as error:
        return str(error)
    return None
