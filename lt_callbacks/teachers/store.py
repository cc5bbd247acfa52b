from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from torch import nn

from lt_callbacks._files import canonical_json, sha256, write_bytes, write_json
from lt_callbacks.teachers.weights import load_weights

FORMAT_VERSION = 1


class TeacherStore:
    """A folder of trained teachers, each under the hash of what it was trained with and on.

    Jobs that need the same teacher share it: the first trains it, the others wait for its lock and load it. The hash
    covers the settings and the data's fingerprint, not paths, devices or versions.

    Args:
        root: The folder; made when needed.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    @staticmethod
    def key(settings: Mapping[str, Any], fingerprint: str) -> str:
        """64 hexadecimal digits for a teacher with ``settings`` (JSON values) on the data with ``fingerprint``."""
        return sha256(canonical_json({"format": FORMAT_VERSION, "settings": dict(settings), "data": fingerprint}))

    def get_or_train(
        self,
        module: nn.Module,
        *,
        settings: Mapping[str, Any],
        fingerprint: str,
        train: Callable[[nn.Module], None],
    ) -> bool:
        """Fill ``module`` with the stored weights, or train it and store them.

        Args:
            module: Fresh, of the architecture that ``settings`` describe; changed in place.
            settings: What was asked for, as JSON values.
            fingerprint: SHA-256 of the data.
            train: Trains the module in place.

        Returns:
            True if the weights were reused.

        Raises:
            ValueError: A stored file is damaged, or holds another architecture.
        """
        key = self.key(settings, fingerprint)
        folder = self.root / key
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f"{key}.lock"):
            if (folder / "teacher.json").is_file():
                self._load(module, folder)
                return True
            train(module)
            self._save(module, folder, settings, fingerprint)
            return False

    def _save(self, module: nn.Module, folder: Path, settings: Mapping[str, Any], fingerprint: str) -> None:
        from safetensors.torch import save

        # Cloned because safetensors refuses tensors that share memory, as tied weights do.
        state = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
        content = save(state)
        write_bytes(folder / "teacher.safetensors", content)
        # Written last: a folder with this file is complete.
        write_json(
            folder / "teacher.json",
            {
                "format": FORMAT_VERSION,
                "settings": dict(settings),
                "data": fingerprint,
                "weights_sha256": sha256(content),
            },
        )

    def _load(self, module: nn.Module, folder: Path) -> None:
        from safetensors.torch import load

        try:
            facts = json.loads((folder / "teacher.json").read_text())
            content = (folder / "teacher.safetensors").read_bytes()
            is_whole = (
                facts["format"] == FORMAT_VERSION
                and facts["weights_sha256"] == sha256(content)
                and self.key(facts["settings"], facts["data"]) == folder.name
            )
        except (OSError, ValueError, KeyError, TypeError):
            is_whole = False
        if not is_whole:
            raise ValueError(
                f"The stored teacher {str(folder)!r} must be as it was written; a file is missing, truncated or edited."
                " Delete the folder and it is trained again."
            )
        load_weights(module, load(content), source=str(folder))
