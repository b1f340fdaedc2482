"""Colours of classes in figures."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg_medical.evaluation.summary import BACKGROUND_NAMES

Color = tuple[int, int, int]

#: colours of the lesions in the figures of HACDR-Net (RGB)
LESIONS: dict[str, Color] = {'EX': (255, 0, 0), 'MA': (255, 255, 0), 'SE': (0, 255, 0), 'HE': (0, 0, 255)}

# Distinguishable with deficient colour vision: Okabe and Ito, https://jfly.uni-koeln.de/color/
_OTHERS: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)


def class_colors(classes: Sequence[str], palette: Sequence[Sequence[int]] | None = None) -> list[Color | None]:
    """Colour of each class: lesions as in the paper, then the data set's own, then a default series.

    Args:
        classes (Sequence[str]): names of the K classes.
        palette (Sequence | None): the data set's colours (RGB), one a class.

    Returns:
        list[tuple | None]: RGB in 0..255; None for the background, which is not drawn.
    """
    if palette is not None and len(palette) != len(classes):
        palette = None
    colors: list[Color | None] = []
    for k, name in enumerate(classes):
        if name.lower() in BACKGROUND_NAMES:
            colors.append(None)
        elif name in LESIONS:
            colors.append(LESIONS[name])
        elif palette is not None and any(palette[k]):
            r, g, b = palette[k]
            colors.append((int(r), int(g), int(b)))
        else:
            colors.append(_OTHERS[k % len(_OTHERS)])
    return colors
