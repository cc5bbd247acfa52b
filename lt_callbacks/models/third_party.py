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
        in_channels: Of an image, >= 1.
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
    model = models.get_model(model_name, weights=None, num_classes=num_classes)
    if in_channels != 3:
        _take_channels(model, in_channels)
    return model


def _take_channels(model: nn.Module, in_channels: int) -> None:
    """Give a network with random weights, made for RGB, a first convolution for another number of channels."""
    path, first = next((path, module) for path, module in model.named_modules() if isinstance(module, nn.Conv2d))
    made = nn.Conv2d(
        in_channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]  # a pair
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    # Each of the libraries' networks has an initialisation of its own.
    nn.init.normal_(made.weight, std=float(first.weight.detach().std()))
    if first.bias is not None and made.bias is not None:
        nn.init.constant_(made.bias, float(first.bias.detach().mean()))
    parent, _, attribute = path.rpartition(".")
    setattr(model.get_submodule(parent), attribute, made)


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
