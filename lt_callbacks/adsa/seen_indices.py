# Legend: B batch, M indices of all ranks in one call, R runs.
from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks._ranks import gather_rows


class SeenIndices:
    """Which images were seen before, in any batch of any rank; nothing is read on the host.

    It keeps sorted runs of indices, each more than twice as long as the next, and merges them as they grow: a call
    searches log2 of the number of indices seen, at most, and each index is sorted that often in all.
    """

    def __init__(self) -> None:
        self._runs: list[Tensor] = []

    def first_seen(self, index: Tensor, group: dist.ProcessGroup | None) -> Tensor:
        """Whether each image is seen for the first time; from now on all of them were seen.

        Args:
            index: (B,) int64, any values; this rank's, B may differ over ranks and be 0.
            group: The ranks that share the images; all of them must call. None: this one alone.

        Returns:
            (B,) bool. Of an image that stands several times in one call, the first is meant, in the order of ranks.

        Cost: one exchange of lengths and one all-gather of indices; memory of 8 bytes an index seen, on every rank.
        """
        shares = [index] if group is None else gather_rows(index, group)
        own = 0 if group is None else dist.get_rank(group)
        everything = torch.cat(shares)
        ascending, order = everything.sort(stable=True)
        places = torch.arange(len(everything), device=index.device)
        is_first = order[torch.searchsorted(ascending, everything)] == places
        for run in self._runs:
            run = run.to(index.device)
            place = torch.searchsorted(run, everything).clamp_max(len(run) - 1)
            is_first &= run[place] != everything
        self._add(ascending)
        start = sum(len(share) for share in shares[:own])
        return is_first[start : start + len(index)]

    def _add(self, ascending: Tensor) -> None:
        if len(ascending):
            self._runs.append(ascending)
        while len(self._runs) > 1 and 2 * len(self._runs[-1]) >= len(self._runs[-2]):
            last, previous = self._runs.pop(), self._runs.pop()
            self._runs.append(torch.cat([previous.to(last.device), last]).sort().values)
