"""What makes the host wait for a GPU, found without one: code runs on tensors that say they are on a CUDA device.

PyTorch's fake tensors have shapes, dtypes and devices but no values. Whatever needs a value on the host (`.item()`,
`bool(tensor)`, boolean indexing, `nonzero`, `bincount`, `one_hot` without its number of classes) is an error on them,
and copies between devices for which the host waits are seen here. The branches taken are those of a GPU. Kernels do
not run, and neither does a backward pass, which needs the device's context.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

_ATEN = torch.ops.aten
_INDEXING = {_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default}


class HostRead(AssertionError):
    """The host would wait for the device."""


class FakeCuda:
    """A GPU that need not be there.

    Attributes:
        device: What tensors on it say.
    """

    def __init__(self) -> None:
        self.device = torch.device("cuda", 0)
        self._mode = FakeTensorMode()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Around what a step does: `HostRead` where the host would wait for the device."""
        with self.copies() as copies:
            yield
        if copies:
            raise HostRead(f"blocking copies: {copies}")

    @contextmanager
    def copies(self) -> Iterator[list[str]]:
        """Likewise, but copies are let by; a list of them, for work that may copy at its beginning and its end."""
        copies: list[str] = []
        try:
            with self._mode, _Copies(copies):
                yield copies
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            raise HostRead(f"a value is read on the host: {error}") from error

    def placed(self, thing: Any) -> Any:
        """``thing`` with all tensors in it on this device; objects are changed in place, tensors are not."""
        return self._placed(thing, {})

    def held(self, thing: Any) -> Any:
        """A tensor, or an object in place, as `step` takes it, left on the host."""
        return FakeCuda._placed(self, thing, {}, on_host=True)

    def _placed(self, thing: Any, memo: dict[int, Any], *, on_host: bool = False) -> Any:
        if id(thing) in memo:
            return memo[id(thing)]
        if isinstance(thing, torch.Tensor):
            plain = thing.detach()
            with self._mode:
                made = self._mode.from_tensor(plain)
                made = made if on_host else made.to(self.device)
                if isinstance(thing, nn.Parameter):
                    made = nn.Parameter(made, thing.requires_grad)
                elif thing.requires_grad:
                    made.requires_grad_()
            memo[id(thing)] = made
            return made
        if isinstance(thing, torch.device):
            return thing if on_host else self.device
        memo[id(thing)] = thing
        if isinstance(thing, tuple) and type(thing) is tuple:
            return tuple(self._placed(each, memo, on_host=on_host) for each in thing)
        if isinstance(thing, list | deque):
            for place, each in enumerate(thing):
                thing[place] = self._placed(each, memo, on_host=on_host)
        elif isinstance(thing, dict):
            for key, each in thing.items():
                thing[key] = self._placed(each, memo, on_host=on_host)
        elif isinstance(thing, nn.Module) or type(thing).__module__.startswith("lt_callbacks"):
            for name, each in vars(thing).items():
                # Not `setattr`: some are frozen.
                vars(thing)[name] = self._placed(each, memo, on_host=on_host)
        return thing


class _Copies(TorchDispatchMode):
    def __init__(self, found: list[str]) -> None:
        super().__init__()
        self.found = found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is _ATEN._to_copy.default:
            self._note(args[0], result, kwargs.get("non_blocking", False))
        elif func is _ATEN.copy_.default:
            self._note(args[1], result, (*args[2:], kwargs.get("non_blocking", False))[0])
        elif func in _INDEXING:
            # An index on the host is copied by the kernel itself.
            for index in args[1]:
                if index is not None:
                    self._note(index, args[0], False)
        return result

    def _note(self, source: torch.Tensor, target: torch.Tensor, non_blocking: bool) -> None:
        if source.device.type != target.device.type and not non_blocking:
            self.found.append(f"{tuple(source.shape)} from {source.device} to {target.device}")
