from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from lt_callbacks._checks import integer, one_of, real
from lt_callbacks._errors import ArgumentTypeError, ArgumentValueError

#: How a view is cropped: a random part resized to full size (ImageNet), a shift in a black border (CIFAR), not at all.
CROPS = ("resized", "padded", "none")
#: How a view is mixed with another image of the set.
MIXES = ("none", "cutmix", "mixup")


@dataclass(frozen=True, kw_only=True)
class ViewSettings:
    """How the images of a distilled set are varied; view 17 of sample 3 is the same picture for everybody.

    Args:
        seed: Of all decisions, an integer; the training seed is another matter.
        crop: ``"resized"``, ``"padded"`` or ``"none"``.
        crop_padding: Pixels of black border for ``"padded"``, >= 0.
        crop_area: Smallest and largest share of the image's area for ``"resized"``, 0 < smallest <= largest <= 1.
        flip: Whether half of the views are mirrored. Not where that changes the meaning: digits, text.
        mix: ``"none"``, ``"cutmix"`` (Yun et al. 2019) or ``"mixup"`` (Zhang et al. 2018).
        mix_alpha: Mixing weights are Beta(alpha, alpha), > 0; 1: uniform.

    Raises:
        TypeError, ValueError: A value has another type or is out of its range.
    """

    seed: int = 0
    crop: str = "resized"
    crop_padding: int = 4
    crop_area: tuple[float, float] = (0.08, 1.0)
    flip: bool = False
    mix: str = "none"
    mix_alpha: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "seed", integer("seed", self.seed))
        one_of("crop", self.crop, CROPS)
        object.__setattr__(self, "crop_padding", integer("crop_padding", self.crop_padding, at_least=0))
        object.__setattr__(self, "crop_area", _checked_area(self.crop_area))
        if not isinstance(self.flip, bool):
            raise ArgumentTypeError(
                "flip", rule="be True or False", got=repr(self.flip), way_out="Mirror views, or do not."
            )
        one_of("mix", self.mix, MIXES)
        object.__setattr__(self, "mix_alpha", real("mix_alpha", self.mix_alpha, above=0.0))

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values, which :meth:`from_dict` reads."""
        return {**asdict(self), "crop_area": list(self.crop_area)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ViewSettings:
        """Settings from the JSON values of :meth:`to_dict`.

        Raises:
            ValueError: A name is unknown.
        """
        known = {field.name for field in fields(cls)}
        for name in values:
            one_of("values", name, known)
        return cls(**values)


def _checked_area(crop_area: object) -> tuple[float, float]:
    if isinstance(crop_area, str) or not isinstance(crop_area, Sequence) or len(crop_area) != 2:
        raise ArgumentTypeError("crop_area", rule="be a pair (smallest, largest) of area shares", got=repr(crop_area))
    low, high = (real("crop_area", share, above=0.0, at_most=1.0) for share in crop_area)
    if low > high:
        raise ArgumentValueError(
            "crop_area", rule="be (smallest, largest)", got=repr(crop_area), way_out="Swap the two."
        )
    return (low, high)


#: The images as they are, only normalised.
PLAIN_VIEW = ViewSettings(crop="none")
