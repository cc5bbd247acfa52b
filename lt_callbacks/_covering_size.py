"""How large an image becomes before its centre is cut out. Standard library only."""

from __future__ import annotations


def covering_size(full: tuple[int, int], size: tuple[int, int], *, resize: float) -> list[int]:
    """Height and width of an image made as small as still covers ``resize`` times ``size``; its sides keep their ratio.

    Args:
        full: Height and width of the image.
        size: Height and width that are cut out of it.
        resize: 1: as much of the image as fits. 256 / 224: the ImageNet recipe.
    """
    scale = resize * max(side / length for side, length in zip(size, full, strict=True))
    return [max(side, round(scale * length)) for side, length in zip(size, full, strict=True)]
