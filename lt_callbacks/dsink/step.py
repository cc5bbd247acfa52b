# Legend: N samples, C classes, R ranks, w student weight, Q proxy labels.
"""A step of D-SINK, top down: predictions, kernel, class marginal, transport, divergence, loss. Helpers below."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks.dsink.class_marginal import ClassMarginal
from lt_callbacks.dsink.divergence import KnownDivergence
from lt_callbacks.dsink.log_kernel import at_least_float32, check_same_shape, weighted_log_probs
from lt_callbacks.dsink.past_batches import PastBatches
from lt_callbacks.dsink.proxy_labels import ProxyLabels
from lt_callbacks.transport import fused
from lt_callbacks.transport.column_sums import ColumnSums
from lt_callbacks.transport.dispatch import solve_transport
from lt_callbacks.transport.fused_harmonise import harmonise_fused
from lt_callbacks.transport.held_rows import HeldRows, hold_rows

SCOPES = ("global", "local")
ONE_LAUNCH_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class ProxyLabeler:
    """Makes proxy labels of three models' predictions of a batch, over all ranks, and remembers what later ones need.

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
        self._past = PastBatches(length=self.queue_batches)

    def loss(
        self,
        logits: Tensor,
        noise: Tensor,
        imbalance: Tensor,
        *,
        alpha: float,
        process_group: dist.ProcessGroup | None = None,
    ) -> tuple[Tensor, ProxyLabels]:
        """D-SINK's part of the loss of a step, alpha * mean_i KL(q_i || p_i), and the labels that it is made of.

        Args:
            logits: (N, C) floating, of the model that is trained, with their graph; the labels are constants.
            noise: (N, C) log-probabilities of the noise-robust teacher up to a constant in each row, such as logits.
            imbalance: (N, C) log-probabilities of the imbalance-robust teacher, up to the same.
            alpha: Weight of the loss.
            process_group: Whose ranks share the batch; None: this process has all of it.

        Returns:
            Scalar, scaled so that averaging gradients over ranks gives the global mean, and the :class:`ProxyLabels`.
        """
        proxy = self(logits, noise, imbalance, process_group=process_group)
        return alpha * proxy.loss_scale * proxy.divergence(logits), proxy

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
            imbalance: (N, C) log-probabilities of the imbalance-robust teacher, up to the same.
            process_group: Whose ranks share the batch; None: this process has all of it.

        Raises:
            TypeError: Predictions are no floating tensors.
            ValueError: Their shapes or devices disagree.
        """
        check_same_shape(student_logits=student_logits, noise=noise, imbalance=imbalance)
        is_shared = process_group is not None and self.scope == "global"
        with torch.autocast(student_logits.device.type, enabled=False):
            held = hold_rows(
                (student_logits.detach(), noise.detach(), imbalance.detach()),
                process_group=process_group if is_shared else None,
                num_sweeps=0 if self.class_marginal.kind == "none" else self.max_iterations,
                may_reduce=not self.queue_batches,
            )
            loss_scale = held.num_ranks * len(student_logits) / max(held.num_rows, 1) if is_shared else 1.0
            if self._fits_one_launch(held):
                proxy = self._label_in_one_launch(held, loss_scale, student_logits.detach())
            else:
                proxy = self._label_step_by_step(held, loss_scale)
        if process_group is not None and not is_shared:
            # Ranks that report alike stop together; one that stopped alone would leave the others in a collective.
            dist.all_reduce(proxy.num_nonfinite, group=process_group)
        return proxy

    def _label_step_by_step(self, held: HeldRows, loss_scale: float) -> ProxyLabels:
        """The labels of the own rows, stage by stage: what `proxy_labels` does, for rows that may be masked."""
        # Predictions. Of a row that is no distribution (NaN, inf, or nothing but -inf) every log-probability is NaN.
        student, noise, imbalance = (at_least_float32(rows).log_softmax(dim=1) for rows in held.parts)
        is_bad = torch.stack([rows[:, :1] for rows in (student, noise, imbalance)]).isnan()
        is_masked, is_nonfinite = is_bad.any(dim=0), is_bad[1:, :, 0].t()

        # Kernel.
        kernel = self._kernel(student, noise, imbalance).masked_fill(is_masked, -torch.inf)

        # Class marginal. Where a row is masked the student and the teacher have no mass.
        student, imbalance = (rows.to(kernel.dtype).masked_fill(is_masked, -torch.inf) for rows in (student, imbalance))
        contribution = self.class_marginal.contribution(student, imbalance.exp())
        # Flags are counted in floating point to travel with the masses; a batch has fewer rows than 2^24.
        totals = held.sums.total(torch.cat([contribution, is_nonfinite.sum(dim=0, dtype=kernel.dtype)]))
        marginal, num_nonfinite = self.class_marginal.from_total(totals[:-2]), totals[-2:].to(torch.int64)

        # Transport.
        plan, error, iterations = self._transport(kernel, marginal, held.sums, held.num_rows)
        return ProxyLabels(
            labels=plan[held.own],
            loss_scale=loss_scale,
            marginal_error=error,
            iterations=iterations,
            num_nonfinite=num_nonfinite,
            is_nonfinite=is_nonfinite[held.own],
        )

    def _kernel(self, student: Tensor, noise: Tensor, imbalance: Tensor) -> Tensor:
        """(N, C) log-weights that the transport starts from; inputs are log-probabilities, float32 or better."""
        return weighted_log_probs(student, noise, student_weight=self.student_weight)

    def _transport(
        self, kernel: Tensor, marginal: Tensor, sums: ColumnSums, num_rows: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Plan (N, C) of the batch's rows, marginal error and sweeps of the problem with the past batches."""
        joint, joint_marginal = self._past.join(kernel, marginal)
        if self.class_marginal.kind == "none":
            return _normalise_rows(kernel, marginal, sums)
        result = solve_transport(
            joint,
            # A marginal of zeros means that every sample of the batch is masked; there is then no row to give away.
            torch.where(joint_marginal.sum() > 0, joint_marginal, 1.0),
            num_rows=num_rows,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            sums=sums,
        )
        return result.plan[: len(kernel)], result.marginal_error, result.iterations

    def _fits_one_launch(self, held: HeldRows) -> bool:
        """Whether one launch of the fused kernel can make labels, divergence and gradient of the held rows."""
        return (
            held.sums.holds_all_rows
            and self.class_marginal.kind in ("batch", "uniform")
            and not self.queue_batches
            and all(rows.dtype in ONE_LAUNCH_DTYPES for rows in held.parts)
            and fused.is_available(held.parts[0].device)
            and fused.fits(*held.parts[0].shape)
        )

    def _label_in_one_launch(self, held: HeldRows, loss_scale: float, logits: Tensor) -> ProxyLabels:
        """The labels of the fused kernel, with their divergence from the student and its gradient."""
        is_uniform = self.class_marginal.kind == "uniform"
        found = harmonise_fused(
            *held.parts,
            student_weight=self.student_weight,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
            class_marginal=logits.new_ones(logits.shape[1], dtype=torch.float32) if is_uniform else None,
            own=held.own,
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

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs: the running marginal and the queue."""
        return {"class_marginal": self.class_marginal.state_dict(), "queue": self._past.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a running marginal and a queue that :meth:`state_dict` gave."""
        self.class_marginal.load_state_dict(state["class_marginal"])
        self._past.restore(state["queue"])


def _normalise_rows(kernel: Tensor, marginal: Tensor, sums: ColumnSums) -> tuple[Tensor, Tensor, Tensor]:
    """Plan of rows alone, how far its column sums are from the marginal that was not asked for, and 0 sweeps."""
    plan = kernel.softmax(dim=1).nan_to_num(nan=0.0)
    column_sums, mass = sums.total(torch.cat([plan.sum(dim=0), plan.sum()[None]])).split([plan.shape[1], 1])
    error = (column_sums - marginal).abs().sum() / mass[0].clamp_min(1.0)
    return plan, error, torch.zeros((), dtype=torch.int64, device=kernel.device)
