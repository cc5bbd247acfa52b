from __future__ import annotations

import difflib
from collections.abc import Iterable

from torch import nn

from lt_callbacks._checks import integer, one_of
from lt_callbacks._errors import ArgumentImportError, ArgumentValueError
from lt_callbacks.models.heads import HEADS, CosineHead

LIBRARIES = ("torchvision", "timm")


def library_model(
    name: str, *, num_classes: int, in_channels: int = 3, head: str = "linear", width: int | None = None
) -> nn.Module:
    """A classifier of torchvision or timm with random weights and ``num_classes`` outputs.

    Args:
        name: ``"torchvision:NAME"`` or ``"timm:NAME"``. timm is imported here only.
        num_classes: C >= 2.
        in_channels: torchvision: 3 only.
        head: ``"linear"`` keeps the library's last layer; ``"cosine"`` puts a :class:`CosineHead` in its place.
        width: Must be None: libraries put the width into the name.

    Raises:
        ImportError: timm is asked for and not installed.
        ValueError: Unknown name, or a setting that the library cannot follow.
    """
    library, _, model_name = name.partition(":")
    one_of("library", library, LIBRARIES)
    integer("num_classes", num_classes, at_least=2)
    integer("in_channels", in_channels, at_least=1)
    one_of("head", head, HEADS)
    if width is not None:
        raise ArgumentValueError(
            "width",
            rule=f"be None for {name!r}",
            got=repr(width),
            way_out="Choose a model of another width by name.",
        )
    build = _torchvision_model if library == "torchvision" else _timm_model
    model = build(model_name, num_classes=num_classes, in_channels=in_channels)
    if head == "cosine":
        _put_cosine_head(model, name, num_classes)
    return model


def library_names(library: str) -> list[str]:
    """Names of the classifiers that an installed library has."""
    if one_of("library", library, LIBRARIES) == "torchvision":
        from torchvision import models

        return models.list_models(module=models)
    import timm

    return timm.list_models()


def _torchvision_model(model_name: str, *, num_classes: int, in_channels: int) -> nn.Module:
    from torchvision import models

    _check_known("torchvision", model_name, library_names("torchvision"))
    if in_channels != 3:
        raise ArgumentValueError(
            "in_channels",
            rule="be 3 for torchvision models",
            got=str(in_channels),
            way_out="Repeat the channel in the data, or take a timm model or one of this package's networks.",
        )
    return models.get_model(model_name, weights=None, num_classes=num_classes)


def _timm_model(model_name: str, *, num_classes: int, in_channels: int) -> nn.Module:
    try:
        import timm
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise ArgumentImportError(
            "name",
            rule="be a network of an installed package",
            got=f"'timm:{model_name}', and timm is not installed",
            way_out="Run `pip install lt_callbacks[timm]`.",
        ) from error
    # The family before the dot has the architecture, the tag after it the pretrained weights.
    _check_known("timm", model_name.partition(".")[0], library_names("timm"))
    return timm.create_model(model_name, pretrained=False, num_classes=num_classes, in_chans=in_channels)


def _check_known(library: str, model_name: str, known: Iterable[str]) -> None:
    known = list(known)
    if model_name in known:
        return
    near = difflib.get_close_matches(model_name, known, n=3)
    listed = ", ".join(repr(f"{library}:{match}") for match in near)
    way_out = f"Near matches: {listed}." if near else f"See the list of models of {library}."
    raise ArgumentValueError(
        "name", rule=f"be a classifier of {library}", got=f"'{library}:{model_name}'", way_out=way_out
    )


def _put_cosine_head(model: nn.Module, name: str, num_classes: int) -> None:
    linear_layers = [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == num_classes
    ]
    if not linear_layers:
        raise ArgumentValueError(
            "head",
            rule=f"be 'linear' for {name!r}, which has no linear last layer to replace",
            got=f"'cosine' for a model that ends in {type(list(model.modules())[-1]).__name__}",
            way_out="Use head='linear' or another model.",
        )
    path, last = linear_layers[-1]
    parent, _, attribute = path.rpartition(".")
    setattr(model.get_submodule(parent), attribute, CosineHead(last.in_features, num_classes))
