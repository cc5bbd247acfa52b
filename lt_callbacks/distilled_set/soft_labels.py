# Legend: B batch, N images of the set, C classes, V views.
from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._checks import as_path, integer
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError
from lt_callbacks.distilled_set import compact_labels
from lt_callbacks.distilled_set.distilled_set import DistilledSet, checked_set
from lt_callbacks.distilled_set.label_facts import FACTS, LabelFacts
from lt_callbacks.distilled_set.label_shard import FileIdentity, Layout, open_shard, shard_path, write_shard
from lt_callbacks.distilled_set.sample_index import checked_samples
from lt_callbacks.distilled_set.view_settings import ViewSettings

#: Views whose files are held open at a time.
NUM_OPEN_VIEWS = 8
_MAX_FLOAT16 = float(np.finfo(np.float16).max)


class SoftLabels:
    """Stored labels of (sample, view): a folder with a file a view, read in any order by any number of processes.

    Make one with :meth:`create` or :meth:`open`. Objects can be sent to other processes.

    Args:
        folder: Of the store.
        facts: What it holds.
    """

    def __init__(self, folder: str | os.PathLike[str], *, facts: LabelFacts) -> None:
        self.folder, self.facts, self._facts_checksum = as_path("folder", folder), facts, facts.checksum
        # View -> its parts, the one used last at the end.
        self._open_views: dict[int, dict[str, np.ndarray]] = {}
        # View -> file that was checked: one that was closed to make room need not be read whole again.
        self._checked_files: dict[int, FileIdentity] = {}

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        *,
        distilled: DistilledSet,
        views: ViewSettings,
        num_views: int,
        calibration: Mapping[str, Any] | None = None,
        top_k: int | None = None,
    ) -> SoftLabels:
        """Create a store for the labels of V views, or continue one; several processes may do so at once.

        Args:
            folder: Made when needed; ``soft_labels`` in the folder of the set, by convention.
            distilled: The set that is labelled.
            views: How its images are varied.
            num_views: V >= 1.
            calibration: What is done to the logits before they are written, as JSON values; None: nothing.
            top_k: Keep that many classes a label, in 8 bits; `compact_error` measures the cost. None: all, float16.

        Raises:
            TypeError, ValueError: An argument is out of range, or the folder holds a store of other facts.
        """
        folder = as_path("folder", folder)
        distilled = checked_set(distilled)
        facts = LabelFacts(
            distilled_sha256=distilled.sha256,
            num_images=len(distilled),
            num_classes=distilled.num_classes,
            views=views,
            num_views=num_views,
            calibration=calibration,
            top_k=top_k,
        )
        if (folder / FACTS).exists():
            _check_equal(folder, LabelFacts.load(folder), facts)
        else:
            facts.save(folder)
        return cls(folder, facts=facts)

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, distilled: DistilledSet | None = None) -> SoftLabels:
        """Open a store of labels as it is on disk.

        Args:
            folder: Of the store.
            distilled: The set that the labels must belong to; None: not checked.

        Raises:
            FileNotFoundError: There is no store.
            ValueError: Its facts are damaged, were edited or are of another format version, or it labels another set.
        """
        folder = as_path("folder", folder)
        facts = LabelFacts.load(folder)
        if distilled is not None and checked_set(distilled).sha256 != facts.distilled_sha256:
            raise ArgumentValueError(
                "distilled",
                rule=f"be the set that {str(folder)!r} labels, sha256 {facts.distilled_sha256[:12]}...",
                got=f"{distilled.sha256[:12]}...",
                way_out="Open the labels of this set.",
            )
        return cls(folder, facts=facts)

    @property
    def views(self) -> ViewSettings:
        """How the labelled images were varied."""
        return self.facts.views

    @property
    def num_views(self) -> int:
        """Number of views, V."""
        return self.facts.num_views

    @property
    def num_images(self) -> int:
        """Number of images in the set, N."""
        return self.facts.num_images

    @property
    def num_classes(self) -> int:
        """Number of classes, C."""
        return self.facts.num_classes

    @property
    def calibration(self) -> Mapping[str, Any] | None:
        """What was done to the logits before they were written; None: nothing."""
        return self.facts.calibration

    @property
    def top_k(self) -> int | None:
        """Classes kept a label in the compact form; None: all, as float16 logits."""
        return self.facts.top_k

    def missing_views(self) -> list[int]:
        """Views that are not written yet, ascending; a view whose writer died half-way counts as one."""
        present = {path.name for path in self.folder.glob("view-*.safetensors")}
        return [view for view in range(self.num_views) if shard_path(self.folder, view).name not in present]

    def write(self, view: int, logits: Tensor) -> None:
        """Store the labels of one view, whole or not at all, whenever the process dies.

        Args:
            view: In 0..V-1. Where it is there already, its labels must be these.
            logits: (N, C) floating, finite; row i is the label of sample i. Kept as they are up to float16's rounding,
                their level included, or as log-probabilities in the compact form.

        Raises:
            TypeError, ValueError: ``view`` is out of range or there with other labels, ``logits`` have another shape or
                dtype, or a value is not finite or beyond float16.
        """
        view = self._checked_view(view)
        logits = _checked_logits(
            logits, self.num_images, self.num_classes, view=view, is_compact=self.top_k is not None
        )
        if self.top_k is None:
            parts = {"logits": logits.to(torch.float16).numpy()}
        else:
            parts = compact_labels.encode(logits, top_k=self.top_k)
        if shard_path(self.folder, view).exists():
            found = self._shard(view)
            if all(np.array_equal(found[name], part) for name, part in parts.items()):
                return
            raise ArgumentValueError(
                "view",
                rule="be one that is not written yet",
                got=f"view {view} of {str(self.folder)!r}, which is there with other labels",
                way_out="Label into another folder, or delete its file.",
            )
        write_shard(self.folder, parts, view=view, facts=self._facts_checksum)

    def logits(self, samples: Tensor, view: int) -> Tensor:
        """The labels of samples in one view: (B, C) float32 logits on the CPU, log-probabilities in the compact form.

        Args:
            samples: (B,) int64 positions in the set, in any order; on the CPU, or the host waits for the device.
            view: In 0..V-1.

        Raises:
            FileNotFoundError: The view is not written yet.
            TypeError, ValueError: A position or the view is out of range, or the view's file is truncated, was edited
                or is another view's or store's.
        """
        view = self._checked_view(view)
        chosen = checked_samples(
            samples.cpu() if isinstance(samples, Tensor) else samples, num_images=self.num_images, device="cpu"
        ).numpy()
        parts = {name: np.asarray(part[chosen]) for name, part in self._shard(view).items()}
        if self.top_k is None:
            return torch.from_numpy(parts["logits"].astype(np.float32))
        return compact_labels.decode(parts, num_classes=self.num_classes)

    def _checked_view(self, view: int) -> int:
        hint = f"The store has {self.num_views} views."
        return integer("view", view, at_least=0, at_most=self.num_views - 1, hint=hint)

    def _shard(self, view: int) -> dict[str, np.ndarray]:
        # Not functools.lru_cache: on a method it keeps the files of a store open that nobody has any more.
        parts = self._open_views.pop(view, None)
        if parts is None:
            checked = self._checked_files.get(view)
            parts, self._checked_files[view] = open_shard(
                self.folder, self._layout(), view=view, facts=self._facts_checksum, checked=checked
            )
        self._open_views[view] = parts
        for unused in list(self._open_views)[:-NUM_OPEN_VIEWS]:
            self._open_views.pop(unused, None)
        return parts

    def _layout(self) -> Layout:
        n, top_k = self.num_images, self.top_k
        if top_k is None:
            return {"logits": (np.float16, (n, self.num_classes))}
        classes = compact_labels.class_dtype(self.num_classes)
        return {"classes": (classes, (n, top_k)), "gaps": (np.uint8, (n, top_k - 1)), "range": (np.float16, (n,))}

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "facts": self.facts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"], facts=state["facts"])  # type: ignore[misc]  # open files stay behind


def _check_equal(folder: Path, found: LabelFacts, asked: LabelFacts) -> None:
    there, wanted = found.to_dict(), asked.to_dict()
    for name in there:
        if there[name] != wanted[name]:
            raise ArgumentValueError(
                "folder",
                rule="be new or hold labels of equal facts",
                got=f"{str(folder)!r}, whose `{name}` is {there[name]!r} where {wanted[name]!r} is asked for",
                way_out="Label into another folder.",
            )


def _checked_logits(logits: object, num_images: int, num_classes: int, *, view: int, is_compact: bool) -> Tensor:
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        got = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise ArgumentTypeError(
            "logits", rule="be a floating tensor", got=str(got), way_out="Pass the model's outputs before softmax."
        )
    if logits.shape != (num_images, num_classes):
        raise ArgumentValueError(
            "logits",
            rule=f"have shape ({num_images}, {num_classes}), a row for each image of the set",
            got=str(tuple(logits.shape)),
        )
    logits = logits.detach().cpu()
    is_bad = ~logits.isfinite().all(dim=1)
    if is_bad.any():
        raise ArgumentValueError(
            "logits",
            rule="be finite",
            got=f"NaN or infinity at sample {int(is_bad.int().argmax())} of view {view} ({int(is_bad.sum())} such "
            "samples)",
            way_out="Find out why the model gives them.",
        )
    # Not centred in silence: students that regress logits learn their level too.
    if not is_compact and logits.abs().max() > _MAX_FLOAT16:
        at = int(logits.abs().amax(dim=1).argmax())
        raise ArgumentValueError(
            "logits",
            rule=f"be at most {_MAX_FLOAT16:.0f} in size, the range of float16",
            got=f"{float(logits[at].abs().max()):g} at sample {at} of view {view}",
            way_out="Subtract each row's mean where only softmax counts, or pass `top_k`.",
        )
    return logits
