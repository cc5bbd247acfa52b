from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._ranks import gather_rows, share_lengths
from lt_callbacks.dsink.class_marginal import ClassMarginal
from lt_callbacks.dsink.proxy_labels import log_kernel
from lt_callbacks.transport.ranks import RankSums, WholeProblem, holds_own_rows
from lt_callbacks.transport.sinkhorn import solve_whole

SCOPES = ("global", "local")


@dataclass(frozen=True)
class ProxyLabels:
    """The proxy labels of one step and what there is to say about them. Everything is on the device and detached.

    Attributes:
        labels: (N, C) Q of this rank's samples; zeros where one of the three models was not finite.
        loss_scale: Factor that turns this rank's mean KL into its part of the mean over all ranks, times the number
            of ranks (data-parallel averaging divides by it): R * N_rank / N.
        marginal_error: 0-d, see :class:`lt_callbacks.transport.SinkhornResult`.
        iterations: 0-d int64.
        noise_log_probs: (N, C) as used.
        imbalance_log_probs: (N, C) as used.
        num_nonfinite: (2,) int64, over all ranks: samples where the noise-robust and the imbalance-robust teacher
            was not finite.
        is_nonfinite: (N, 2) bool, this rank's samples.
    """

    labels: Tensor
    loss_scale: float
    marginal_error: Tensor
    iterations: Tensor
    noise_log_probs: Tensor
    imbalance_log_probs: Tensor
    num_nonfinite: Tensor
    is_nonfinite: Tensor


class ProxyLabeler:
    """Turns the three models' predictions of a batch into proxy labels, over all ranks, with what must be remembered.

    Args:
        student_weight: w of the kernel p^w * p_N^(1-w), in [0, 1]. 0 leaves the student out, 1 the teacher.
        class_marginal: See :class:`ClassMarginal`.
        queue_batches: Past batches that join the transport problem (their proxy labels are not used), so that small
            batches do not starve tail classes (SoLar, NeurIPS 2022). 0: none. With a queue every rank holds the rows
            of all ranks, so that the checkpoint has the whole batches' whichever rank writes it; without one, ranks
            keep their own rows where that is faster.
        scope: ``"global"``: one problem over all ranks; ``"local"``: one a rank.
        max_iterations: Limit of sweeps.
        tolerance: Total variation at which the sweeps stop.
    """

    def __init__(
        self,
        *,
        student_weight: float = 0.5,
        class_marginal: str = "batch",
        queue_batches: int = 0,
        scope: str = "global",
        max_iterations: int = 100,
        tolerance: float = 1e-3,
    ) -> None:
        self.student_weight = real("student_weight", student_weight, at_least=0.0, at_most=1.0)
        self.class_marginal = ClassMarginal(kind=class_marginal)
        self.queue_batches = integer("queue_batches", queue_batches, at_least=0)
        self.scope = one_of("scope", scope, SCOPES)
        self.max_iterations = integer("max_iterations", max_iterations, at_least=1)
        self.tolerance = real("tolerance", tolerance, at_least=0.0)
        self._queue: deque[Tensor] = deque(maxlen=self.queue_batches)

    @torch.no_grad()
    def __call__(
        self,
        student_logits: Tensor,
        noise_log_probs: Tensor,
        imbalance_log_probs: Tensor,
        *,
        process_group: dist.ProcessGroup | None = None,
    ) -> ProxyLabels:
        """Proxy labels of this rank's (N, C) predictions; every rank of ``process_group`` must call."""
        with torch.autocast(student_logits.device.type, enabled=False):
            return self._label(student_logits, noise_log_probs, imbalance_log_probs, process_group)

    def _label(
        self,
        student_logits: Tensor,
        noise_log_probs: Tensor,
        imbalance_log_probs: Tensor,
        process_group: dist.ProcessGroup | None,
    ) -> ProxyLabels:
        num_classes = student_logits.shape[1]
        bad_student, student = _split_nonfinite(student_logits)
        bad_noise, noise = _split_nonfinite(noise_log_probs)
        bad_imbalance, imbalance = _split_nonfinite(imbalance_log_probs)
        is_nonfinite = torch.stack([bad_noise, bad_imbalance], dim=1)
        is_masked = (bad_student | bad_noise | bad_imbalance)[:, None]

        student = student.log_softmax(dim=1)
        kernel = self._kernel(student, noise, imbalance).masked_fill(is_masked, -torch.inf)
        probs = imbalance.exp().masked_fill(is_masked, 0.0)
        rows = torch.cat([part.to(kernel.dtype) for part in (kernel, probs, student, is_nonfinite)], dim=1)

        own, loss_scale, sums, num_rows = slice(0, len(rows)), 1.0, WholeProblem(), len(rows)
        if process_group is not None and self.scope == "global":
            lengths = share_lengths(len(rows), process_group)
            num_rows = sum(lengths)
            loss_scale = len(lengths) * len(rows) / max(num_rows, 1)
            if self._holds_own_rows(lengths, kernel):
                sums = RankSums(process_group)
            else:
                start = sum(lengths[: dist.get_rank(process_group)])
                own = slice(start, start + len(rows))
                rows = torch.cat(gather_rows(rows, process_group, lengths=lengths))

        kernel, probs, student, flags = (part.contiguous() for part in rows.split([num_classes] * 3 + [2], dim=1))
        # Flags are counted in floating point to travel with the masses; a batch has fewer rows than 2^24.
        batch_sums = sums.add(torch.cat([self.class_marginal.part(student, probs), flags.sum(dim=0)]))
        marginal = self.class_marginal.of_sum(batch_sums[:num_classes])
        num_nonfinite = batch_sums[num_classes:].to(torch.int64)
        if process_group is not None and self.scope == "local":
            # Ranks that report alike stop together; one that stopped alone would leave the others in a collective.
            dist.all_reduce(num_nonfinite, group=process_group)
        # Batches of a resumed run come from the CPU.
        past = [batch.to(kernel) for batch in self._queue]
        if self.queue_batches:
            batch = torch.cat([kernel, (marginal / max(len(kernel), 1)).expand_as(kernel)], dim=1)
            self._queue = deque([*past, batch], maxlen=self.queue_batches)
        labels, error, iterations = self._transport(kernel, marginal, past, sums, num_rows)
        return ProxyLabels(
            labels=labels[own],
            loss_scale=loss_scale,
            marginal_error=error,
            iterations=iterations,
            noise_log_probs=noise,
            imbalance_log_probs=imbalance,
            num_nonfinite=num_nonfinite,
            is_nonfinite=is_nonfinite,
        )

    def _kernel(self, student: Tensor, noise: Tensor, imbalance: Tensor) -> Tensor:
        """(N, C) log-weights that the transport starts from; inputs are log-probabilities, float32 or better."""
        return log_kernel(student, noise, student_weight=self.student_weight)

    def _holds_own_rows(self, lengths: list[int], kernel: Tensor) -> bool:
        if self.queue_batches:
            return False
        sweeps = 0 if self.class_marginal.kind == "none" else self.max_iterations
        return holds_own_rows(lengths, kernel.shape[1], max_iterations=sweeps, device=kernel.device)

    def _transport(
        self, kernel: Tensor, marginal: Tensor, past: list[Tensor], sums: WholeProblem, num_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        if self.class_marginal.kind == "none":
            return _rows_only(kernel, marginal, sums)
        if past:
            queued_kernels, queued_marginals = torch.cat(past).split([kernel.shape[1]] * 2, dim=1)
            marginal = marginal + queued_marginals.sum(dim=0)
            joint = torch.cat([kernel, queued_kernels])
        else:
            joint = kernel
        # A marginal of zeros means that every sample of the batch is masked; the kernel then has no row to give away.
        result = solve_whole(
            joint,
            torch.where(marginal.sum() > 0, marginal, 1.0),
            num_rows=num_rows,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            sums=sums,
        )
        return result.plan[: len(kernel)], result.marginal_error, result.iterations

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs: the running marginal and the queue."""
        return {"class_marginal": self.class_marginal.state_dict(), "queue": list(self._queue)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state_dict`."""
        self.class_marginal.load_state_dict(state["class_marginal"])
        self._queue = deque(state["queue"], maxlen=self.queue_batches)


def _split_nonfinite(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) bool where a row is not a distribution (NaN, inf, or nothing but -inf), and the rows with those uniform."""
    logits = logits.detach() if logits.dtype == torch.float64 else logits.detach().float()
    is_bad = ~logits.amax(dim=1).isfinite()
    uniform = torch.full_like(logits, 1 / max(logits.shape[1], 1)).log()
    return is_bad, torch.where(is_bad[:, None], uniform, logits)


def _rows_only(kernel: Tensor, marginal: Tensor, sums: WholeProblem) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised rows and how far their column sums are from the marginal that was not asked for."""
    plan = kernel.softmax(dim=1).nan_to_num(nan=0.0)
    column_sums, mass = sums.add(torch.cat([plan.sum(dim=0), plan.sum()[None]])).split([plan.shape[1], 1])
    error = (column_sums - marginal).abs().sum() / mass[0].clamp_min(1.0)
    return plan, error, torch.zeros((), dtype=torch.int64, device=kernel.device)
