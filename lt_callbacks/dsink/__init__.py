"""Model outputs to proxy labels to loss (D-SINK, arXiv 2510.08179)."""

from lt_callbacks.dsink.labeler import ProxyLabeler, ProxyLabels
from lt_callbacks.dsink.mean_labeler import MeanLabeler
from lt_callbacks.dsink.proxy_labels import proxy_label_loss, proxy_labels

__all__ = ["MeanLabeler", "ProxyLabeler", "ProxyLabels", "proxy_label_loss", "proxy_labels"]
