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
from lt_callbacks.dsink.divergence import KnownDivergence
from lt_callbacks.dsink.proxy_labels import at_least_float32, proxy_label_loss, weighted_log_probs
from lt_callbacks.transport import fused
from lt_callbacks.transport.ranks import RankSums, WholeProblem, holds_own_rows
from lt_callbacks.transport.sinkhorn import solve_whole

SCOPES = ("global", "local")
ONE_LAUNCH_DTYPES = (torch.float32, torch.bfloat16, torch.float16)

#: (N, C) of the student, the noise-robust and the imbalance-robust teacher.
Models = tuple[Tensor, ...]


@dataclass(frozen=True)
class ProxyLabels:
    """The proxy labels of one step and what there is to say about them. Everything is on the device and detached.

    Attributes:
        labels: (N, C) Q of this rank's samples; zeros where one of the three models was not finite.
        loss_scale: Factor that turns this rank's mean KL into its part of the mean over all ranks, times the number
            of ranks (data-parallel averaging divides by it): R * N_rank / N.
        marginal_error: 0-d, see :class:`lt_callbacks.transport.SinkhornResult`.
        iterations: 0-d int64.
        num_nonfinite: (2,) int64, over all ranks: samples where the noise-robust and the imbalance-robust teacher
            was not finite.
        is_nonfinite: (N, 2) bool, this rank's samples.
        known: Where it was found together with the labels: their divergence from the student.
    """

    labels: Tensor
    loss_scale: float
    marginal_error: Tensor
    iterations: Tensor
    num_nonfinite: Tensor
    is_nonfinite: Tensor
    known: KnownDivergence | None = None

    def divergence(self, logits: Tensor) -> Tensor:
        """:func:`proxy_label_loss` of ``logits`` (N, C) and the labels, with its graph.

        Where the labels were made on a GPU and of these very ``logits`` it is known already.
        """
        if self.known is not None and self.known.is_of(logits):
            return self.known.attached_to(logits, self.labels)
        return proxy_label_loss(logits, self.labels)


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
        noise: Tensor,
        imbalance: Tensor,
        *,
        process_group: dist.ProcessGroup | None = None,
    ) -> ProxyLabels:
        """Proxy labels of this rank's predictions; every rank of ``process_group`` must call.

        Args:
            student_logits: (N, C) floating.
            noise: (N, C) log-probabilities of the noise-robust teacher up to a constant in each row, such as logits.
            imbalance: (N, C) likewise of the imbalance-robust teacher.
            process_group: Whose ranks share the batch; None: this process has all of it.
        """
        with torch.autocast(student_logits.device.type, enabled=False):
            return self._label(student_logits, noise, imbalance, process_group)

    def _label(
        self,
        student_logits: Tensor,
        noise: Tensor,
        imbalance: Tensor,
        process_group: dist.ProcessGroup | None,
    ) -> ProxyLabels:
        num_own, num_classes = student_logits.shape
        models = (student_logits.detach(), noise.detach(), imbalance.detach())
        own, loss_scale, sums, num_rows = slice(0, num_own), 1.0, WholeProblem(), num_own
        if process_group is not None and self.scope == "global":
            lengths = share_lengths(num_own, process_group)
            num_rows = sum(lengths)
            loss_scale = len(lengths) * num_own / max(num_rows, 1)
            if self._holds_own_rows(lengths, student_logits):
                sums = RankSums(process_group)
            else:
                start = sum(lengths[: dist.get_rank(process_group)])
                own = slice(start, start + num_own)
                joint = torch.cat(gather_rows(torch.cat(models, dim=1), process_group, lengths=lengths))
                models = joint.split([num_classes] * 3, dim=1)

        if not isinstance(sums, RankSums) and self._fits_one_launch(models):
            proxy = self._in_one_launch(models, own, loss_scale, student_logits.detach())
        else:
            proxy = self._step_by_step(models, own, loss_scale, sums, num_rows)
        if process_group is not None and self.scope == "local":
            # Ranks that report alike stop together; one that stopped alone would leave the others in a collective.
            dist.all_reduce(proxy.num_nonfinite, group=process_group)
        return proxy

    def _fits_one_launch(self, models: Models) -> bool:
        """Whether one GPU kernel can do all of it."""
        return (
            self.class_marginal.kind in ("batch", "uniform")
            and not self.queue_batches
            and all(rows.dtype in ONE_LAUNCH_DTYPES for rows in models)
            and fused.is_available(models[0].device)
            and fused.fits(*models[0].shape)
        )

    def _in_one_launch(self, models: Models, own: slice, loss_scale: float, logits: Tensor) -> ProxyLabels:
        is_uniform = self.class_marginal.kind == "uniform"
        found = fused.harmonise(
            *models,
            student_weight=self.student_weight,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            class_marginal=logits.new_ones(logits.shape[1], dtype=torch.float32) if is_uniform else None,
            own=own,
        )
        return ProxyLabels(
            labels=found.labels,
            loss_scale=loss_scale,
            marginal_error=found.marginal_error,
            iterations=found.iterations,
            num_nonfinite=found.num_nonfinite,
            is_nonfinite=found.is_nonfinite,
            known=KnownDivergence(logits=logits, value=found.divergence, gradient=found.gradient),
        )

    def _step_by_step(
        self, models: Models, own: slice, loss_scale: float, sums: WholeProblem, num_rows: int
    ) -> ProxyLabels:
        student, noise, imbalance = (at_least_float32(rows).log_softmax(dim=1) for rows in models)
        # Of a row that is no distribution (NaN, inf, or nothing but -inf) every log-probability is NaN.
        is_bad = torch.stack([rows[:, :1] for rows in (student, noise, imbalance)]).isnan()
        is_masked, is_nonfinite = is_bad.any(dim=0), is_bad[1:, :, 0].t()
        kernel = self._kernel(student, noise, imbalance).masked_fill(is_masked, -torch.inf)
        dtype = kernel.dtype
        # Where a row is masked the student and the teacher have no mass.
        student, imbalance = (rows.to(dtype).masked_fill(is_masked, -torch.inf) for rows in (student, imbalance))
        # Flags are counted in floating point to travel with the masses; a batch has fewer rows than 2^24.
        flags = is_nonfinite.sum(dim=0, dtype=dtype)
        batch_sums = sums.add(torch.cat([self.class_marginal.part(student, imbalance.exp()), flags]))
        marginal = self.class_marginal.of_sum(batch_sums[:-2])
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
            num_nonfinite=batch_sums[-2:].to(torch.int64),
            is_nonfinite=is_nonfinite[own],
        )

    def _kernel(self, student: Tensor, noise: Tensor, imbalance: Tensor) -> Tensor:
        """(N, C) log-weights that the transport starts from; inputs are log-probabilities, float32 or better."""
        return weighted_log_probs(student, noise, student_weight=self.student_weight)

    def _holds_own_rows(self, lengths: list[int], rows: Tensor) -> bool:
        if self.queue_batches:
            return False
        sweeps = 0 if self.class_marginal.kind == "none" else self.max_iterations
        return holds_own_rows(lengths, rows.shape[1], max_iterations=sweeps, device=rows.device)

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


def _rows_only(kernel: Tensor, marginal: Tensor, sums: WholeProblem) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised rows and how far their column sums are from the marginal that was not asked for."""
    plan = kernel.softmax(dim=1).nan_to_num(nan=0.0)
    column_sums, mass = sums.add(torch.cat([plan.sum(dim=0), plan.sum()[None]])).split([plan.shape[1], 1])
    error = (column_sums - marginal).abs().sum() / mass[0].clamp_min(1.0)
    return plan, error, torch.zeros((), dtype=torch.int64, device=kernel.device)
