"""One case that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass, replace

import numpy as np

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.evaluation.summary import BACKGROUND_NAMES
from mmseg_medical.geometry import Volume, reorient
from mmseg_medical.visualization.palette import Color, class_colors

#: of structures without a colour of their own, legible on dark
DARK_SERIES: tuple[Color, ...] = (
    (0, 217, 255),
    (255, 0, 110),
    (255, 209, 102),
    (6, 214, 160),
    (176, 137, 255),
    (255, 143, 64),
    (120, 160, 255),
    (220, 220, 120),
)


# classes of which a legend names those in the picture alone
_MANY = 12


@dataclass(frozen=True)
class Structures:
    """What labels mean.

    Attributes:
        names (tuple[str, ...]): Of the K classes.
        colors (tuple): RGB of each in 0..255; None for what is not drawn, the background.
    """

    names: tuple[str, ...]
    colors: tuple[Color | None, ...]

    @classmethod
    def of(cls, names: Sequence[str], palette: Sequence[Sequence[int]] | None = None) -> Structures:
        """Choose colours: those of :func:`class_colors`, of a data set without a palette those of dark figures."""
        if palette is None or len(palette) != len(names):
            drawn = [name for name in names if name.lower() not in BACKGROUND_NAMES]
            palette = [_series(drawn.index(name)) if name in drawn else (0, 0, 0) for name in names]
        return cls(tuple(names), tuple(class_colors(names, palette)))

    @property
    def drawn(self) -> tuple[int, ...]:
        """Numbers of the classes that are drawn."""
        return tuple(k for k, color in enumerate(self.colors) if color is not None)

    def entries(self, *segmentations: np.ndarray) -> list[tuple[str, Color]]:
        """Name and colour of what is drawn; of more than a dozen classes those that are in ``segmentations``."""
        wanted = self.drawn
        if len(wanted) > _MANY and segmentations:
            wanted = tuple(k for k in wanted if any(self.mask(one, k).any() for one in segmentations))
        return [(self.names[k], color) for k in wanted if (color := self.colors[k]) is not None]

    def mask(self, segmentation: np.ndarray, number: int) -> np.ndarray:
        """Mask (*S), bool, of one class of labels (1, *S) or masks (K, *S)."""
        if len(segmentation) == len(self.names) > 1:
            return segmentation[number] == 1
        return segmentation[0] == number if len(self.names) > 1 else segmentation[0] == 1

    def foreground(self, segmentation: np.ndarray) -> np.ndarray:
        """Mask (*S), bool, of everything that is drawn."""
        found = np.zeros(segmentation.shape[1:], bool)
        for number in self.drawn:
            found |= self.mask(segmentation, number)
        return found


@dataclass(frozen=True, eq=False)
class PictureCase:
    """An image with its segmentations, all on one grid.

    Attributes:
        case_id (str): Its name.
        image (Volume): shape (I, J, K) or (I, J), axes in the directions RAS where they are known; or a photograph
            (H, W, 3), uint8, RGB, with ``has_channels``.
        structures (Structures): What labels mean.
        truth (np.ndarray | None): labels (1, *S) or masks (K, *S) of 0 and 1; other values belong to no class.
        pred (np.ndarray | None): as ``truth``.
    """

    case_id: str
    image: Volume
    structures: Structures
    truth: np.ndarray | None = None
    pred: np.ndarray | None = None

    def shown(self, which: str | None = None) -> np.ndarray:
        """Return the segmentation that a picture of one shows.

        Args:
            which (str | None): ``'truth'`` or ``'pred'``; None takes the truth where there is one.

        Raises:
            DataError: There is none of that kind.
        """
        found = {'truth': self.truth, 'pred': self.pred}
        wanted = which or ('truth' if self.truth is not None else 'pred')
        segmentation = found[wanted]
        if segmentation is None:
            name = 'labels' if wanted == 'truth' else 'a prediction'
            raise data_error(
                f'case {self.case_id}',
                expected=f'{name} to draw',
                found='none',
                remedy='Choose a split with labels, or name them (--labels, --pred).',
            )
        return segmentation

    def both(self) -> tuple[np.ndarray, np.ndarray]:
        """Return truth and prediction.

        Raises:
            DataError: One of them is missing.
        """
        return self.shown('truth'), self.shown('pred')


def _series(number: int) -> Color:
    """Colour of a structure without one: the series for dark figures, then hues a golden angle apart."""
    if number < len(DARK_SERIES):
        return DARK_SERIES[number]
    steps = number - len(DARK_SERIES)
    rgb = hsv_to_rgb(0.07 + steps * 0.618034 % 1, (0.85, 0.5, 0.65)[steps % 3], (0.95, 1.0, 0.75)[steps % 3])
    r, g, b = (round(255 * value) for value in rgb)
    return r, g, b


def in_anatomical_order(case: PictureCase) -> PictureCase:
    """Turn a volume with an affine, and its segmentations, so that its axes point to R, A and S."""
    if case.image.affine is None or case.image.rank != 3:
        return case
    affine = case.image.affine

    def turned(segmentation: np.ndarray | None) -> np.ndarray | None:
        if segmentation is None:
            return None
        return np.stack([reorient(Volume(one, affine), 'RAS').array for one in segmentation])

    return replace(case, image=reorient(case.image), truth=turned(case.truth), pred=turned(case.pred))


def no_foreground(subject: str, which: str) -> Exception:
    """Return the error that there is nothing to draw."""
    return data_error(
        subject,
        expected=f'{which} with at least one voxel of a structure',
        found='background everywhere',
        remedy='Choose other cases (--cases), or look whether the values of the labels are those of the classes.',
    )
