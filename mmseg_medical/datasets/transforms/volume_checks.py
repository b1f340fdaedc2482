"""What is checked of the images and labels of volumes before a network sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.geometry import Volume, grid_difference

if TYPE_CHECKING:
    from mmseg_medical.geometry import Grid


def check_finite(image: np.ndarray, subject: str) -> None:
    """Refuse NaN and infinite values.

    Args:
        image (np.ndarray): Any shape, floating.
        subject (str): File or case, for the message.

    Raises:
        DataError: There are some; it says how many of which.
    """
    if np.isfinite(image.sum(dtype=np.float64)):  # one pass without a mask; every value below the largest float32
        return
    nan, infinite = int(np.isnan(image).sum()), int(np.isinf(image).sum())
    raise data_error(
        subject,
        expected='finite values',
        found=f'{nan} NaN and {infinite} infinite of {image.size} voxels',
        remedy='Replace them where their meaning is known (masked out, or overflow of an earlier step), or leave the '
        'case out.',
    )


def check_same_grid(label: Volume, grid: Grid, image: str) -> None:
    """Refuse labels that lie on another grid than their image.

    Args:
        label (Volume): The labels.
        grid (Grid): Of the image's file.
        image (str): Name of the image, for the message.

    Raises:
        DataError: Size or affine differ.
    """
    difference = grid_difference(label, on_grid(grid, image))
    if difference is not None:
        raise data_error(
            label.name,
            expected=f'the grid of its image {image}',
            found=difference,
            remedy='If the pair belongs together, resample the labels (geometry.resample_like) and store them.',
        )


def on_grid(grid: Grid, source: str) -> Volume:
    """Return a stand-in for an image of this grid; its array takes no memory."""
    return Volume(np.broadcast_to(np.uint8(0), grid.size), grid.affine, source)


def check_labels(
    labels: np.ndarray, subject: str, num_classes: int | None, ignore_index: int, extra: Sequence[int] = ()
) -> None:
    """Refuse labels that are no class.

    Args:
        labels (np.ndarray): Any shape, integer.
        subject (str): File or case, for the message.
        num_classes (int | None): Labels lie in 0..num_classes-1; None allows any that is not negative.
        ignore_index (int): Allowed too.
        extra (Sequence[int]): Allowed too.

    Raises:
        DataError: Some do not; it lists them.
    """
    if not labels.size or (labels.min() >= 0 and (num_classes is None or labels.max() < num_classes)):
        return
    present = np.unique(labels)
    wrong = [int(v) for v in present if not (0 <= v < (num_classes or v + 1) or v == ignore_index or v in extra)]
    if wrong:
        raise data_error(
            subject,
            expected='labels that are not negative'
            if num_classes is None
            else f'labels 0..{num_classes - 1} (or {ignore_index}, which is ignored)',
            found=', '.join(map(str, wrong[:10])) + (f' and {len(wrong) - 10} more' if len(wrong) > 10 else ''),
            remedy='Set num_classes or label_map of LoadVolumeAnnotations, or correct the file.',
        )


def check_label_follows(results: dict[str, Any], transform: str) -> None:
    """Refuse labels that do not lie on the grid of the image any more.

    Raises:
        RuntimeError: The pipeline loads them in the wrong place.
    """
    label, size = results.get('gt_seg_map'), results['img'].shape[1:]
    if label is not None and (results.get('labels_on_native_grid') or label.shape[label.ndim - len(size) :] != size):
        raise RuntimeError(
            f'{transform} moves image and labels together, but the image has the size {size} and the labels, of shape '
            f'{label.shape}, lie on the grid of the file: in a pipeline that trains, LoadVolumeAnnotations comes right '
            'behind LoadVolume.'
        )
