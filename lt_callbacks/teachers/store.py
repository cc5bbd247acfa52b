from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lt_callbacks._checks import as_path
from lt_callbacks._errors import DataError, StateError
from lt_callbacks._files import canonical_json, remove_leftovers, sha256, temporary_beside, write_bytes, write_json
from lt_callbacks._json_file import INTEGER, OBJECT, SHA256, TEXT, Fields, read_json, wrong_entry
from lt_callbacks._lease import Lease
from lt_callbacks._tensor_file import nonfinite_entry
from lt_callbacks._writable import check_folder
from lt_callbacks.models.weights_bytes import weights_bytes
from lt_callbacks.teachers.store_log import StoreLog
from lt_callbacks.teachers.weights import load_finite_weights

FORMAT_VERSION = 2

_FACTS = "teacher.json"
_WEIGHTS = "teacher.safetensors"
_ENTRIES: Fields = {"format": INTEGER, "settings": OBJECT, "data": TEXT, "weights_sha256": SHA256}


class TeacherStore:
    """A folder of trained teachers, each under the hash of what it was trained with and on.

    Jobs that need the same teacher share it, on whichever machines they run: the first trains it, the others wait and
    load it. A job that is killed while it trains loses its lease, and another one takes over. The hash covers the
    settings and the data's fingerprint, not paths, devices or versions.

    Args:
        root: The folder; made when needed.
        lease_expiry: Seconds without a sign of life after which a job that trains a teacher counts as dead.

    Attributes:
        log: Which job trained which teacher, and when.
    """

    def __init__(self, root: str | os.PathLike[str], *, lease_expiry: float = 30.0) -> None:
        self.root = as_path("root", root)
        self.lease_expiry = lease_expiry
        self.log = StoreLog(self.root / "jobs" / "log")

    @staticmethod
    def key(settings: Mapping[str, Any], fingerprint: str) -> str:
        """64 hexadecimal digits for a teacher with ``settings`` (JSON values) on the data with ``fingerprint``."""
        return sha256(canonical_json({"format": FORMAT_VERSION, "settings": dict(settings), "data": fingerprint}))

    def unfinished(self, key: str) -> Path:
        """Folder for what a training of teacher ``key`` leaves for one that takes over; removed once it is stored."""
        return self.root / "jobs" / "unfinished" / key

    def weights_sha256(self, key: str) -> str:
        """Hexadecimal SHA-256 of the weights' file of the stored teacher ``key``.

        Raises:
            ValueError: What is stored of it is damaged.
        """
        return str(_facts(self.root / key)["weights_sha256"])

    def get_or_train(
        self,
        module: nn.Module,
        *,
        settings: Mapping[str, Any],
        fingerprint: str,
        train: Callable[[nn.Module], None],
        on_wait: Callable[[str], None] | None = None,
    ) -> bool:
        """Fill ``module`` with the stored weights, or train it and store them.

        Args:
            module: Fresh, of the architecture that ``settings`` describe; changed in place.
            settings: What was asked for, as JSON values.
            fingerprint: SHA-256 of the data.
            train: Trains the module in place.
            on_wait: Told once who trains the teacher, where another job does.

        Returns:
            True if the weights were reused.

        Raises:
            ValueError: A stored file is damaged, or holds another architecture.
            ArgumentError: The network must be trained, and the folder cannot be written to.
            RuntimeError: The training came to weights that are not finite, which are not stored.
        """
        key = self.key(settings, fingerprint)
        folder = self.root / key
        lease = Lease(
            self.root / "jobs" / "leases" / key, heartbeat=min(5.0, self.lease_expiry / 6), expiry=self.lease_expiry
        )
        if not (folder / _FACTS).is_file():
            # Before a training whose result could not be kept.
            check_folder("store", self.root, folders=("jobs",))
        with lease.acquire(unless=(folder / _FACTS).is_file, on_wait=on_wait) as is_held:
            if not is_held:
                self._load(module, folder)
                return True
            remove_leftovers(self.root, name=key)
            self.log.add("training", key)
            constants = _infinities(module)
            train(module)
            nonfinite = nonfinite_entry(module.state_dict(), like=constants)
            if nonfinite:
                self.log.add("discarded", key)
                raise StateError(
                    f"A teacher's training must end with finite weights to be stored; it came to {nonfinite}. Train it "
                    "with a smaller learning rate."
                )
            is_kept = self._publish(module, folder, settings, fingerprint)
            # Kept by another job: this one was taken for dead while it was stopped.
            self.log.add("stored" if is_kept else "discarded", key)
            shutil.rmtree(self.unfinished(key), ignore_errors=True)
            return False

    def _publish(self, module: nn.Module, folder: Path, settings: Mapping[str, Any], fingerprint: str) -> bool:
        """Write the teacher beside its place and rename the folder; False if another job was faster."""
        content = weights_bytes(module)
        beside = temporary_beside(folder)
        try:
            write_bytes(beside / _WEIGHTS, content)
            write_json(
                beside / _FACTS,
                {
                    "format": FORMAT_VERSION,
                    "settings": dict(settings),
                    "data": fingerprint,
                    "weights_sha256": sha256(content),
                },
            )
            if folder.is_dir() and not (folder / _FACTS).is_file():
                # Half a teacher, of a release that wrote file by file.
                shutil.rmtree(folder)
            beside.rename(folder)
        except OSError:
            if (folder / _FACTS).is_file():
                return False
            raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return True

    def _load(self, module: nn.Module, folder: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load

        facts = _facts(folder)
        try:
            content = (folder / _WEIGHTS).read_bytes()
        except OSError as error:
            raise _damaged(folder, f"{_WEIGHTS} cannot be read: {error.strerror or error}") from error
        if facts["weights_sha256"] != sha256(content):
            raise _damaged(folder, f"{_WEIGHTS} does not fit its checksum in {_FACTS}")
        if self.key(facts["settings"], facts["data"]) != folder.name:
            raise _damaged(folder, f"{_FACTS} has the `settings` or the `data` of another teacher")
        try:
            state = load(content)
        except SafetensorError as error:
            raise _damaged(folder, f"{_WEIGHTS} is no file of tensors ({error})") from error
        load_finite_weights(module, state, source=str(folder / _WEIGHTS))


def _infinities(module: nn.Module) -> dict[str, Tensor]:
    """Copies of what holds an infinity before any training, such as masks."""
    floating = {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
    return {name: value.detach().clone() for name, value in floating.items() if bool(value.isinf().any())}


def _facts(folder: Path) -> dict[str, Any]:
    """What is stored of a teacher beside its weights, checked by entry."""
    try:
        facts: dict[str, Any] = read_json(folder / _FACTS)
    except DataError as error:
        raise _damaged(folder, f"{_FACTS} {error}") from error
    wrong = wrong_entry(facts, _ENTRIES)
    if wrong:
        raise _damaged(folder, f"{_FACTS} {wrong}")
    if facts["format"] != FORMAT_VERSION:
        raise _damaged(folder, f"{_FACTS} has format {facts['format']} where this release reads {FORMAT_VERSION}")
    return facts


def _damaged(folder: Path, why: str) -> DataError:
    return DataError(
        f"The stored teacher {str(folder)!r} must be as it was written; {why}. A file is missing, truncated or edited. "
        "Delete the folder and it is trained again."
    )
