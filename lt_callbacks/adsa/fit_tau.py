# Legend: V views, B batch, C classes.
from __future__ import annotations

from typing import Any

from lt_callbacks.adsa.batch import check_values, checked_batch
from lt_callbacks.adsa.fit_settings import FitSettings
from lt_callbacks.adsa.moments import class_moments
from lt_callbacks.adsa.problem import TauProblem
from lt_callbacks.adsa.tau_fit import TauFit


def fit_tau(
    logits: Any,
    intended_class: Any,
    class_prior: Any,
    *,
    weight: Any = None,
    shrink_to: float | None = None,
    shrink_sd: float = 0.5,
    lowest: float = -1.0,
    highest: float = 4.0,
) -> TauFit:
    """The strength of the logit adjustment under which classes are most evenly confident, from distilled images alone.

    With a = log pi - mean log pi, p_i(tau) = softmax(z_i - tau * a)[intended class of i], and m_c(tau) the mean of p_i
    over the images of class c, tau minimises the population standard deviation of m_c over classes. Feed it un-mixed
    images: of a mixture there is no intended class. For more images than fit in memory, or several ranks, see
    :class:`lt_callbacks.adsa.TauEstimator`, which this equals. Ranks do not talk here.

    Args:
        logits: (B, C) float, or (V, B, C) for V views of an image, whose probabilities are averaged first. Finite.
        intended_class: (B,) integer, the class that each image stands for.
        class_prior: (C,) counts or frequencies of the training labels, finite and > 0.
        weight: (B,) finite and >= 0, weights of the images within their class; None for ones. One of 2 moves tau as
            the image given twice; an image of weight 0 does not count.
        shrink_to: A strength to fall back to, inside the grid: tau becomes the mean of the estimate and this,
            weighted by precision, and this itself where the images do not determine tau. None: no shrinkage. A uniform
            prior needs no adjustment, and tau stays 0.
        shrink_sd: How far from ``shrink_to`` tau is thought to lie: standard deviation of a normal prior, > 0. The
            estimate's own is half its interval / 1.96.
        lowest: Smallest tau that is considered.
        highest: Largest.

    Returns:
        The strength, its interval and the curve; see :class:`TauFit`. tau is within 1e-5 of an exhaustive search.

    Raises:
        TypeError: An argument of the wrong kind.
        ValueError: Shapes disagree; logits that are not finite; an intended class out of range; a class without images;
            a prior that is not finite and > 0, or so uneven that tau cannot be found on the grid (a factor of about
            e^44 on the default one); ``lowest`` not below ``highest``.

    Cost: B * V * C exponentials, and G multiplications a logit, with G = 24 to 82 for imbalance factors 1 to 1000.
    Gradient: none.
    Reference: ADSA (arXiv 2511.17914), section 4.

    Example:
        >>> round(fit_tau([[4.2, 0.0], [2.2, 2.0]], [0, 1], [90, 10]).tau, 2)
        1.0
    """
    settings = FitSettings(shrink_to=shrink_to, shrink_sd=shrink_sd, lowest=lowest, highest=highest)
    problem = TauProblem(class_prior, settings)
    views, intended, weights = checked_batch(logits, intended_class, weight, num_classes=problem.num_classes)
    check_values(views, intended, weights)
    return problem.solve(*class_moments(views, intended, weights, tilts=problem.tilts(views.device)))
