from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._writable import check_file
from lt_callbacks.apps.predict.pictures_of import pictures_of
from lt_callbacks.apps.predict.predictions_file import PredictionsFile
from lt_callbacks.trained_model import load_model, predict_files


def run(
    model: Path,
    images: Path,
    *,
    output: Path,
    root: Path | None = None,
    top: int = 1,
    has_all: bool = False,
    batch_size: int = 64,
    num_workers: int = 2,
    device: str = "cpu",
) -> int:
    """Classify pictures and write the CSV file; one that cannot be read is reported and does not lose the others.

    Args:
        model: Folder of the trained network.
        images: See `pictures_of`.
        output: The CSV file.
        root: See `pictures_of`.
        top: Classes of each picture, the likeliest first.
        has_all: Whether the probability of every class is written too.
        batch_size: Pictures at once.
        num_workers: Processes that read pictures.
        device: Where the network runs.

    Returns:
        How many pictures could not be read.

    Raises:
        ValueError, FileNotFoundError: Before anything is written: an argument is wrong, or the model is damaged.
    """
    from rich.console import Console
    from rich.progress import track

    if output.is_dir() or (output.exists() and images.exists() and output.samefile(images)):
        raise ArgumentValueError(
            "output", rule="be a CSV file of its own", got=str(output), way_out="Name another file."
        )
    check_file("output", output)
    pictures = pictures_of(images, root=root)
    network = load_model(model, device=device)
    file = PredictionsFile(output, class_names=network.class_names, top=top, has_all=has_all)
    found: Counter[str] = Counter()
    num_unread = 0
    errors = Console(stderr=True)
    paths = [path for _, path in pictures]
    predictions = predict_files(network, paths, batch_size=batch_size, num_workers=num_workers)
    shown = track(
        predictions,
        total=len(pictures),
        description="Predicting",
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
    with file:
        # Raised inside, so that a file of earlier predictions is not replaced by an empty one.
        for (name, _), prediction in zip(pictures, shown, strict=True):
            file.add(name, prediction.probs)
            if prediction.probs is None:
                num_unread += 1
                errors.print(prediction.error, highlight=False, markup=False, soft_wrap=True)
            else:
                found[network.class_names[int(prediction.probs.argmax())]] += 1
        if not found:
            raise ArgumentValueError(
                "images",
                rule="hold a picture that can be read",
                got=f"{num_unread} that cannot" if num_unread > 1 else f"{str(images)!r}",
                way_out="See the reasons above.",
            )
    counts = ", ".join(f"{count} {name}" for name, count in found.most_common(5))
    more = f" and {len(found) - 5} more classes" if len(found) > 5 else ""
    num_read = len(pictures) - num_unread
    sys.stdout.write(f"{num_read} picture{'s' * (num_read != 1)}: {counts}{more}. Predictions: {output}\n")
    if num_unread:
        sys.stdout.write(f"{num_unread} could not be read; their lines have no class.\n")
    return num_unread
