from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from lt_callbacks._checks import as_path
from lt_callbacks._errors import ArgumentFileError, ArgumentTypeError, ArgumentValueError, DataError
from lt_callbacks._tensor_file import nonfinite_entry, read_torch_file


def load_weights(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Load ``state`` into ``module`` only if names and shapes agree entirely.

    Raises:
        ValueError: They do not; names the first differences, and leaves the module as it was.
    """
    check_fits(module, state, source=source)
    module.load_state_dict(dict(state))


def load_finite_weights(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """As `load_weights`, and only if every weight and buffer is finite: what a teacher is made of.

    An infinity that the module itself has in the same place, such as in a mask, is a constant of it.

    Raises:
        ValueError: As of `load_weights`, or a number is not finite; names it, and leaves the module as it was.
    """
    check_fits(module, state, source=source)
    nonfinite = nonfinite_entry(state, like=module.state_dict())
    if nonfinite:
        raise DataError(
            f"`{source}` must hold finite weights; got {nonfinite}. Restore the file, or train again with a smaller "
            "learning rate if that is what the training came to."
        )
    module.load_state_dict(dict(state))


def check_fits(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    """Refuse a state dict whose names and shapes are not those of ``module``.

    Raises:
        ValueError: With the first differences.
    """
    own = module.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    other_shape = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if missing or unexpected or other_shape:
        raise DataError(
            f"`{source}` must hold the weights of {type(module).__name__}, another architecture's do not fit; "
            f"missing: {missing[:3]} ({len(missing)}), unexpected: {unexpected[:3]} ({len(unexpected)}), "
            f"shapes: {other_shape[:3]} ({len(other_shape)}). Build the module that was trained."
        )


def load_checkpoint(path: str | os.PathLike[str], module: nn.Module, *, prefix: str | None = None) -> nn.Module:
    """Load the weights of a Lightning or plain checkpoint into a module; nothing but tensors is unpickled.

    Files of ``torch.save`` are held against their checksums, byte by byte; those of torch before 1.6 and safetensors
    have none, so that there a changed number is not noticed unless it is no number any more.

    Args:
        path: A Lightning checkpoint, a file of ``torch.save(module.state_dict())``, or safetensors.
        module: The architecture that was trained; changed in place.
        prefix: What stands before the module's own names in the file, such as ``"network."``. None: found by
            itself where the names leave no doubt.

    Returns:
        ``module``.

    Raises:
        FileNotFoundError: There is no such file.
        TypeError: ``module`` or ``path`` is something else.
        ValueError: It is damaged, holds code, no weights, another architecture's, those of several networks that fit,
            or a number that is not finite.
    """
    file = as_path("path", path)
    if not isinstance(module, nn.Module):
        got, way_out = type(module).__name__, "Build the module that was trained."
        raise ArgumentTypeError("module", rule="be a torch.nn.Module", got=got, way_out=way_out)
    if not file.is_file():
        raise ArgumentFileError("path", rule="be a checkpoint file", got=f"{str(file)!r}, which does not exist")
    state = _read(file)
    own = list(module.state_dict())
    if prefix is None:
        prefix = _find_prefix(state, own, source=str(file))
    # Under a prefix the file may hold more than the module: an objective, metrics, a second network.
    stripped = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    load_finite_weights(module, stripped, source=str(file))
    return module


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        content = read_torch_file(file)
    except DataError as error:
        raise ArgumentValueError(
            "path",
            rule="be a whole file of nothing but tensors and plain values",
            got=f"{str(file)!r}, and {error}",
            way_out="Restore it, or save `module.state_dict()` again.",
        ) from error
    # The two formats raise errors of half a dozen kinds, none of which names the file.
    except Exception as error:
        raise ArgumentValueError(
            "path",
            rule="be a whole file of nothing but tensors and plain values",
            got=f"{type(error).__name__} from reading {str(file)!r}",
            way_out="Save `module.state_dict()` again (where hyper-parameters are objects: "
            "`torch.save(torch.load(path, weights_only=False)['state_dict'], path)`, if you trust the file).",
        ) from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ArgumentValueError(
            "path",
            rule="hold a state dict of tensors, or a Lightning checkpoint",
            got=f"{type(content).__name__} in {str(file)!r}",
            way_out="Save `module.state_dict()`.",
        )
    return dict(state)


def _find_prefix(state: Mapping[str, Tensor], own: list[str], *, source: str) -> str:
    if not own:
        return ""
    endings = {name[: -len(own[0])] for name in state if name == own[0] or name.endswith("." + own[0])}
    fitting = [prefix for prefix in endings if all(prefix + name in state for name in own)]
    if len(fitting) > 1:
        raise ArgumentValueError(
            "prefix",
            rule="be given where several networks fit",
            got=f"None for {source!r}, which holds them under {sorted(fitting)}",
            way_out="Pass one of these.",
        )
    return fitting[0] if fitting else ""
