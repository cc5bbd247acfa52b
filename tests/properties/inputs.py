"""What the properties are tried with: numbers at the ends of their range, and whatever somebody may pass by mistake."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)

#: Numbers that are out of somebody's range.
odd_numbers = st.one_of(
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 0, -0.0, -1, 1e-300, -1e-300, 1e300, 5e-324, 10**400]),
    st.sampled_from([True, 2**63, -(2**63), 2**53 + 1, 1e-45, np.float16(6e4), np.int8(-128), np.uint64(2**64 - 1)]),
    st.floats(),
    st.integers(),
)
seeds = st.integers(0, 2**32 - 1)

_MISTAKES = (
    lambda: None,
    lambda: "symmetric",
    lambda: "",
    lambda: b"\x00",
    lambda: 1j,
    lambda: object(),
    lambda: [],
    lambda: [[1, 2], [3]],
    lambda: [0, None],
    lambda: ["a", "b"],
    lambda: [0, 1, 2],
    lambda: (0.5, 0.5),
    lambda: {0: 0.5},
    lambda: {"kind": "symmetric", "ratio": 0.4},
    lambda: {1, 2},
    lambda: range(3),
    lambda: iter([1, 2]),
    lambda: np.zeros(3),
    lambda: np.array(1.0),
    lambda: np.array([1, 2], dtype=np.int8),
    lambda: np.array([1, 2**63], dtype=np.uint64),
    lambda: np.array(["a", "b"]),
    lambda: np.array([1j, 2]),
    lambda: np.array([None, 1], dtype=object),
    lambda: np.zeros((2, 3)),
    lambda: np.zeros((0, 3)),
    lambda: torch.zeros(()),
    lambda: torch.zeros(3),
    lambda: torch.zeros(0),
    lambda: torch.zeros(2, 3),
    lambda: torch.zeros(2, 3, dtype=torch.int64),
    lambda: torch.zeros(2, 0),
    lambda: torch.zeros(2, 3, 4),
    lambda: torch.ones(3, requires_grad=True),
    lambda: torch.ones(3, dtype=torch.bfloat16),
    lambda: torch.ones(3, dtype=torch.bool),
    lambda: torch.ones(3, dtype=torch.complex64),
    lambda: torch.tensor([0, 1, 2], dtype=torch.uint8),
    lambda: torch.tensor(float("nan")),
    lambda: torch.tensor([1.0, float("nan"), 2.0]),
    lambda: torch.eye(3).to_sparse(),
)

#: Whatever somebody may pass by mistake.
mistakes = st.one_of(st.sampled_from(_MISTAKES).map(lambda make: make()), odd_numbers, st.text(max_size=3))


def mostly(*valid):
    """What belongs there, and one time in eight a mistake: of several arguments one is then wrong about half the time."""
    return st.integers(0, 7).flatmap(lambda choice: st.one_of(*valid) if choice else mistakes)


@st.composite
def float_tensors(draw, shape, *, dtypes=FLOATS, scales=(1e-3, 1.0, 10.0, 300.0), specials=()):
    """A tensor of this shape: normal numbers of some scale and dtype, here and there one of ``specials``."""
    dtype, scale = draw(st.sampled_from(dtypes)), draw(st.sampled_from(scales))
    generator = torch.Generator().manual_seed(draw(seeds))
    values = scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
    if specials and draw(st.booleans()):
        place = torch.rand(*shape, generator=generator) < draw(st.sampled_from([0.05, 0.5]))
        values[place] = draw(st.sampled_from(specials))
    return values.to(dtype)


@st.composite
def labels(draw, length, num_classes, *, dtypes=INTEGERS):
    """(N,) class numbers in [0, C)."""
    generator = torch.Generator().manual_seed(draw(seeds))
    return torch.randint(0, num_classes, (length,), generator=generator).to(draw(st.sampled_from(dtypes)))


@st.composite
def proportions(draw, num_classes, *, zeros=False):
    """(C,) float64 numbers > 0 (or >= 0, one above) of ratios up to 1e6."""
    generator = torch.Generator().manual_seed(draw(seeds))
    values = torch.exp(draw(st.sampled_from([0.0, 1.0, 7.0])) * (2 * torch.rand(num_classes, generator=generator) - 1))
    if zeros and draw(st.booleans()):
        values[torch.rand(num_classes, generator=generator) < 0.4] = 0
        values[int(torch.randint(num_classes, (), generator=generator))] = 1.0
    return values.double()
