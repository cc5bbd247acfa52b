from __future__ import annotations

import torch
from torch import Tensor

from lt_callbacks._checks import real
from lt_callbacks.objectives.base import Objective


class LDAM(Objective):
    """Label-distribution-aware margins, with class weights from late in the training on (LDAM-DRW).

    A rare class gets a larger margin, m_y proportional to n_y^(-1/4), so that its few samples are separated by more.
    Re-weighting starts late because it harms the features when it is there from the start.

    The margin is taken off the cosine: with logits s * cos of the cosine head, s * m_y is subtracted from the logit of
    the given class. Use it with ``build_model(..., head="cosine")``, whose scale is this ``scale``; on unbounded logits
    of a linear head the margins are not those of the paper.

    Weights are those of the effective number of samples, (1 - beta) / (1 - beta^n_y), normalised to sum to C; the loss
    is the weighted mean over the batch, divided by the batch's sum of weights, as in the authors' code.

    Args:
        max_margin: Margin of the rarest class on the cosine, in (0, 2].
        scale: s, what the head multiplies cosines by, > 0.
        beta: In [0, 1); 0 is no re-weighting, towards 1 weights go to 1 / n_y.
        drw_start: Share of ``max_epochs`` after which the weights act, in [0, 1]; the paper's 160 of 200 epochs. 1 is
            never. Needs :meth:`set_epoch` at every epoch.

    Reference: Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, NeurIPS 2019
    (arXiv 1906.07413), section 3 and Algorithm 1; Cui et al., CVPR 2019 (arXiv 1901.05555) for the weights.
    """

    needs_prepare = True
    head = "cosine"
    margins: Tensor
    class_weights: Tensor

    def __init__(
        self, *, max_margin: float = 0.5, scale: float = 30.0, beta: float = 0.9999, drw_start: float = 0.8
    ) -> None:
        super().__init__()
        self.max_margin = real("max_margin", max_margin, above=0.0, at_most=2.0, hint="Cosines span 2.")
        self.scale = real("scale", scale, above=0.0)
        self.beta = real("beta", beta, at_least=0.0, below=1.0)
        self.drw_start = real("drw_start", drw_start, at_least=0.0, at_most=1.0, hint="It is a share of the epochs.")
        self.drw_epoch = 0
        self.register_buffer("margins", None)
        self.register_buffer("class_weights", None)

    def allocate(self, class_counts: Tensor, *, num_samples: int, max_epochs: int) -> None:
        """Make (C,) margins and (C,) weights, and set the epoch from which the weights act."""
        margins = class_counts**-0.25
        self.margins = (margins * (self.max_margin / margins.max())).to(torch.float32)
        weights = (1 - self.beta) / (1 - self.beta**class_counts)
        self.class_weights = (weights / weights.sum() * len(weights)).to(torch.float32)
        self.drw_epoch = round(self.drw_start * max_epochs)

    def losses(self, logits: Tensor, given_label: Tensor, index: Tensor | None) -> Tensor:
        """Cross-entropy with the given class's logit lowered by its margin."""
        margin = (self.scale * self.margins[given_label]).to(logits.dtype).unsqueeze(1)
        lowered = logits.scatter_add(1, given_label.unsqueeze(1), -margin)
        return self.cross_entropy(lowered, given_label)

    def weights(self, given_label: Tensor) -> Tensor | None:
        """(B,) weights of the given classes, from ``drw_epoch`` on."""
        return self.class_weights[given_label] if self.epoch >= self.drw_epoch else None
