"""Model outputs to proxy labels to loss (D-SINK, arXiv 2510.08179)."""

from lt_callbacks.dsink.divergence import proxy_label_loss
from lt_callbacks.dsink.mean_labeler import MeanLabeler
from lt_callbacks.dsink.proxy_labels import ProxyLabels, proxy_labels
from lt_callbacks.dsink.step import ProxyLabeler

__all__ = ["MeanLabeler", "ProxyLabeler", "ProxyLabels", "proxy_label_loss", "proxy_labels"]
