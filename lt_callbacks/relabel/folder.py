from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lt_callbacks._checks import as_path
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks._files import write_json
from lt_callbacks._json_file import read_json
from lt_callbacks._writable import check_folder
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, ViewSettings, set_folder
from lt_callbacks.distilled_set.facts_file import write_facts

FORMAT = "lt_callbacks.adsa"
#: 2: `ADSACallback` and `lt-distill` write the same entries; what one of them does not know is null.
FORMAT_VERSION = 2
#: Written last: a folder with this file is finished.
RESULT = "adsa.json"
#: Written first: a folder with this file and without the result was made by a run that was stopped.
MARKER = "adsa.unfinished.json"
LABELS = "soft_labels"
SET_FILES = (set_folder.FACTS, set_folder.IMAGES)
FIGURES = ("tau.png", "confidence.png", "images.png")


class RelabelledFolder:
    """The folder that a relabelled set goes to: new, or what a stopped run left there; never the input's.

    Args:
        folder: The folder; made when something is written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = as_path("folder", folder)

    @property
    def is_finished(self) -> bool:
        """Whether the folder holds a completed relabelling."""
        return (self.folder / RESULT).exists()

    def check(self, distilled: str | os.PathLike[str] | None = None) -> None:
        """Raise unless the folder may be written to.

        Args:
            distilled: Folder of the input; None: it has none.

        Raises:
            ValueError: It is the input's or inside of it, a file, finished already, or holds anything else; or its
                disk is full, or its name too long.
            PermissionError: It cannot be written to.
            FileNotFoundError: It is a link to nothing.
        """
        if distilled is not None and self._is_within(as_path("distilled", distilled)):
            raise ArgumentValueError(
                "output",
                rule="not be the folder `distilled` nor inside of it, which stay as they are",
                got=f"{str(self.folder)!r} for {str(distilled)!r}",
                way_out="Name a folder beside it.",
            )
        check_folder("output", self.folder)
        self._check_content()

    def prepare(
        self,
        distilled: DistilledSet,
        *,
        views: ViewSettings,
        num_views: int,
        calibration: Mapping[str, Any],
        top_k: int | None,
    ) -> SoftLabels:
        """Write the set's images and make a store for their labels; equal views that a stopped run wrote stay.

        Arguments as for :meth:`SoftLabels.create`. One process may call it at a time.

        Raises:
            ValueError: The folder is finished or holds something else by now.
        """
        self._check_content()
        settings = {"views": views, "num_views": num_views, "calibration": calibration, "top_k": top_k}
        if self._is_unfinished():
            try:
                labels = self._filled(distilled, settings)
                DistilledSet.load(self.folder)
                return labels
            # Labels of another model or tau, another set's images, or a file that the disk did not keep.
            except (ValueError, FileNotFoundError):
                self._clear()
        return self._filled(distilled, settings)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Write the result, which makes the folder a finished one.

        Args:
            result: JSON values.
        """
        write_facts(self.folder / RESULT, {"format": FORMAT, "format_version": FORMAT_VERSION, **result})
        (self.folder / MARKER).unlink(missing_ok=True)

    def _filled(self, distilled: DistilledSet, settings: Mapping[str, Any]) -> SoftLabels:
        write_json(self.folder / MARKER, {"format": FORMAT, "format_version": FORMAT_VERSION})
        # What a stopped run was writing; nobody else writes here.
        for part in (self.folder, self.folder / LABELS):
            for leftover in part.glob(".*.tmp"):
                leftover.unlink()
        distilled.save(self.folder)
        return SoftLabels.create(self.folder / LABELS, distilled=distilled, **settings)

    def _clear(self) -> None:
        for path in (self.folder / name for name in (*SET_FILES, *FIGURES)):
            path.unlink(missing_ok=True)
        labels = self.folder / LABELS
        if labels.is_dir() and not labels.is_symlink():
            shutil.rmtree(labels)
        else:
            labels.unlink(missing_ok=True)

    def _check_content(self) -> None:
        if self.is_finished:
            raise ArgumentValueError(
                "output",
                rule="be new",
                got=f"{str(self.folder)!r}, which holds a finished relabelling ({RESULT})",
                way_out="Name another folder, or delete that one.",
            )
        if not self._is_unfinished() and self._content():
            raise ArgumentValueError(
                "output",
                rule="be new or empty",
                got=f"{str(self.folder)!r}, which holds {self._content()[:5]} that no relabelling wrote",
                way_out="Name another folder.",
            )

    def _is_unfinished(self) -> bool:
        try:
            return read_json(self.folder / MARKER)["format"] == FORMAT
        except (ValueError, KeyError, TypeError):
            return False

    def _content(self) -> list[str]:
        """Names in the folder, without the marker's temporary file."""
        if not self.folder.exists():
            return []
        names = sorted(path.name for path in self.folder.iterdir())
        return [name for name in names if not (name.startswith(f".{MARKER}.") and name.endswith(".tmp"))]

    def _is_within(self, distilled: Path) -> bool:
        inside, outside = self.folder.resolve(), distilled.resolve()
        if outside in (inside, *inside.parents):
            return True
        # Names that differ may be one folder: on a file system without letter case, or mounted twice.
        return outside.exists() and any(path.exists() and path.samefile(outside) for path in (inside, *inside.parents))
