# Legend: C classes.
from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lt_callbacks._checks import class_range_hint, one_of
from lt_callbacks._errors import ArgumentValueError
from lt_callbacks.adsa.inputs import normalised_prior
from lt_callbacks.distilled_set import DistilledSet

_WAY_OUT = "Pass `class_prior=[...]`, the number of training samples of each class."
_OTHER_SET = "Use the set that was distilled from the data that you train on."


def checked_prior(name: str, values: Any) -> Tensor:
    """(C,) float64 counts or frequencies as given, each finite and > 0; ``name`` is the argument that an error names.

    Raises:
        TypeError, ValueError: They are no such numbers.
    """
    if isinstance(values, str):
        one_of(name, values, ("datamodule",), hint="Or pass counts or frequencies, one a class.")
    given = values.detach().cpu() if isinstance(values, Tensor) else np.asarray(values)
    normalised_prior(given, name=name)
    return torch.as_tensor(given).to(torch.float64)


def check_length(name: str, prior: Tensor, distilled: DistilledSet) -> None:
    """Raise unless the prior has one entry for each class of the set."""
    if len(prior) != distilled.num_classes:
        raise ArgumentValueError(
            name,
            rule=f"have one entry for each of the {distilled.num_classes} classes of the distilled set",
            got=str(len(prior)),
            way_out=f"The order is that of its `class_names`, {list(distilled.class_names[:3])}, ....",
        )


def prior_of_datamodule(datamodule: Any, distilled: DistilledSet) -> Tensor:
    """(C,) float64 counts of the given labels that are trained on.

    Args:
        datamodule: Has ``given_labels``, integers by index, and where not all are trained on, ``train_indices``. Its
            ``num_classes`` and ``class_names`` are compared with the set's where it has them.
        distilled: The set that is labelled.

    Raises:
        ValueError: It has no given labels, other classes, or a class without a training sample.
    """
    given = getattr(datamodule, "given_labels", None)
    if given is None:
        what = "no datamodule" if datamodule is None else f"{type(datamodule).__name__} without `given_labels`"
        raise ArgumentValueError(
            "class_prior",
            rule="be counts or frequencies, or 'datamodule' beside a datamodule with `given_labels`",
            got=f"'datamodule' and {what}",
            way_out=_WAY_OUT,
        )
    _check_same_classes(datamodule, distilled)
    labels = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
    indices = getattr(datamodule, "train_indices", None)
    if indices is not None:
        labels = labels[np.asarray(indices)]
    if not np.issubdtype(labels.dtype, np.integer) or not labels.size or labels.min() < 0:
        raise ArgumentValueError(
            "given_labels",
            rule="be integers >= 0, one a sample of the datamodule",
            got=f"{labels.dtype} of shape {labels.shape}",
            way_out=_WAY_OUT,
        )
    if labels.max() >= distilled.num_classes:
        raise ArgumentValueError(
            "distilled",
            rule="have a class for every given label",
            got=f"a set of {distilled.num_classes} classes, where the datamodule has label {int(labels.max())}",
            way_out=class_range_hint(int(labels.min()), int(labels.max()), distilled.num_classes, otherwise=_OTHER_SET),
        )
    return checked_prior("class_prior", np.bincount(labels, minlength=distilled.num_classes))


def _check_same_classes(datamodule: Any, distilled: DistilledSet) -> None:
    names = getattr(datamodule, "class_names", None)
    num_classes = getattr(datamodule, "num_classes", None if names is None else len(names))
    if num_classes is not None and num_classes != distilled.num_classes:
        raise ArgumentValueError(
            "distilled",
            rule=f"have the datamodule's {num_classes} classes",
            got=f"a set of {distilled.num_classes}",
            way_out=_OTHER_SET,
        )
    for label, (name, own) in enumerate(zip(names or (), distilled.class_names, strict=False)):
        if name != own:
            raise ArgumentValueError(
                "distilled",
                rule="have the datamodule's classes in its order",
                got=f"class {label}, which is {name!r} in the datamodule and {own!r} in the set",
                way_out=_OTHER_SET,
            )
