from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lt_callbacks._checks import integer, one_of, real

HEADS = ("linear", "cosine")


class CosineHead(nn.Module):
    """Last layer whose logits are scale * cos(feature, class weight), ready for a softmax.

    Norms of the class weights grow with class size; without them a frequent class has no head start. Computed in
    float32 or better, because bfloat16 cosines times 30 would be off by 0.1.

    Args:
        in_features: D, size of a feature vector.
        num_classes: C.
        scale: Largest logit, > 0; 30 is LDAM's.

    Reference: Cao et al., NeurIPS 2019 (arXiv 1906.07413), section 4: normalised last layer.
    """

    def __init__(self, in_features: int, num_classes: int, *, scale: float = 30.0) -> None:
        super().__init__()
        self.in_features = integer("in_features", in_features, at_least=1)
        self.num_classes = integer("num_classes", num_classes, at_least=2)
        self.scale = real("scale", scale, above=0.0)
        # Normal vectors have uniform directions; only the direction of a row matters.
        self.weight = nn.Parameter(F.normalize(torch.randn(num_classes, in_features), dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) features to (B, C) logits in [-scale, scale], float32 or float64."""
        with torch.autocast(features.device.type, enabled=False):
            dtype = torch.promote_types(features.dtype, torch.float32)
            directions = F.normalize(self.weight.to(dtype), dim=1)
            return self.scale * F.linear(F.normalize(features.to(dtype), dim=1), directions)

    def extra_repr(self) -> str:
        """Sizes and scale, for printing."""
        return f"in_features={self.in_features}, num_classes={self.num_classes}, scale={self.scale:g}"


def make_head(head: str, in_features: int, num_classes: int) -> nn.Module:
    """The last layer named ``head``: ``"linear"`` or ``"cosine"``."""
    integer("num_classes", num_classes, at_least=2)
    if one_of("head", head, HEADS) == "cosine":
        return CosineHead(in_features, num_classes)
    return nn.Linear(in_features, num_classes)
