from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lt_callbacks._files import canonical_json, remove_leftovers, sha256
from lt_callbacks._lease import Lease
from lt_callbacks.distilled_set import DistilledSet, SoftLabels, ViewSettings, set_folder

FORMAT_VERSION = 1


class DistilledStore:
    """Distilled sets and their labelled views, each under the hash of what it was made with and from.

    A set is kept when it is complete; of a labelling that was stopped, every finished view. Jobs that need the same
    wait for each other, see `lt_callbacks._lease`.

    Args:
        root: The folder; sets go to ``distilled/KEY``, labels to ``distilled/KEY/soft_labels-KEY``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root / "distilled"

    @staticmethod
    def key(settings: Mapping[str, Any]) -> str:
        """The name of what was made with ``settings``: 64 hexadecimal digits."""
        return sha256(canonical_json({"format": FORMAT_VERSION, **settings}))

    def get_or_make(
        self, settings: Mapping[str, Any], make: Callable[[], DistilledSet]
    ) -> tuple[DistilledSet, str, bool]:
        """A distilled set from the store, or made and stored; with its key, and whether it was there already.

        Args:
            settings: All that the set depends on, as JSON values.
            make: Makes it.

        Raises:
            ValueError: A stored file is damaged.
        """
        key = self.key(settings)
        folder = self.root / key
        self.root.mkdir(parents=True, exist_ok=True)
        lease = Lease(self.root / "leases" / key)
        with lease.acquire(unless=(folder / set_folder.FACTS).is_file) as is_held:
            if not is_held:
                return DistilledSet.load(folder), key, True
            remove_leftovers(folder)
            distilled = make()
            # Of a job that was killed while it saved. Made again, images may differ in a last bit.
            (folder / set_folder.IMAGES).unlink(missing_ok=True)
            distilled.save(folder)
            return distilled, key, False

    @contextmanager
    def labels(
        self,
        key: str,
        distilled: DistilledSet,
        *,
        networks: Sequence[str],
        precision: str,
        views: ViewSettings,
        num_views: int,
    ) -> Iterator[SoftLabels]:
        """The set's labels by ``networks`` (their keys), to be completed in the block, which no other job enters."""
        settings = {
            "networks": list(networks),
            "precision": precision,
            "views": views.to_dict(),
            "num_views": num_views,
        }
        name = f"soft_labels-{self.key(settings)}"

        def labels() -> SoftLabels:
            return SoftLabels.create(self.root / key / name, distilled=distilled, views=views, num_views=num_views)

        with Lease(self.root / "leases" / f"{key}-{name}").acquire(unless=lambda: not labels().missing_views()):
            remove_leftovers(self.root / key / name)
            yield labels()
