"""Slices by their place in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmseg_medical.geometry.errors import file_error

# How far a slice may be from where even distances put it: headers round positions, some to a tenth of a millimetre.
# Without one slice, others are off by at least a third of their distance.
_ROUNDING_MM = 0.01
_ROUNDING_SHARE = 0.1
_SAME_MM = 1e-3
_SAME_DIRECTION = 1e-3
_SAME_SPACING = 1e-4
# x and y of DICOM's world (LPS) point the other way in RAS
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class DicomSlice:
    """Where a slice is, in DICOM's world.

    Attributes:
        path (Path): Its file.
        size (tuple[int, int]): Columns and rows.
        directions (np.ndarray): shape (2, 3): unit vectors along a row, i.e. from column to column, and along a column.
        spacing_mm (tuple[float, float]): From column to column, from row to row.
        position (np.ndarray): shape (3,): centre of the first pixel.
        thickness (str): In millimetres as the header has it; may be empty.
    """

    path: Path
    size: tuple[int, int]
    directions: np.ndarray
    spacing_mm: tuple[float, float]
    position: np.ndarray
    thickness: str


def stack_affine(slices: Sequence[DicomSlice]) -> tuple[list[int], np.ndarray]:
    """Order slices and place the volume.

    Args:
        slices (Sequence[DicomSlice]): In any order, at least one.

    Returns:
        tuple[list[int], np.ndarray]: Indices from the first slice to the last, in the direction row x column; affine
        (4, 4) from (column, row, slice) to RAS.

    Raises:
        ValueError: Slices differ in size, direction or spacing, lie in one place, or not at even distances.
    """
    first = slices[0]
    for other in slices[1:]:
        _check_alike(first, other)
    normal = np.cross(*first.directions)
    normal /= np.linalg.norm(normal)
    heights = np.array([one.position @ normal for one in slices])
    order = [int(index) for index in np.argsort(heights, kind='stable')]
    ordered = [slices[index] for index in order]
    step = normal * _thickness(first) if len(slices) == 1 else _step(ordered, heights[order])
    affine = np.eye(4)
    affine[:3, 0] = first.directions[0] * first.spacing_mm[0]
    affine[:3, 1] = first.directions[1] * first.spacing_mm[1]
    affine[:3, 2] = step
    affine[:3, 3] = ordered[0].position
    return order, _LPS_TO_RAS @ affine


def _check_alike(first: DicomSlice, other: DicomSlice) -> None:
    for name, a, b, tolerance in (
        ('size', first.size, other.size, 0),
        ('ImageOrientationPatient', first.directions, other.directions, _SAME_DIRECTION),
        ('PixelSpacing', first.spacing_mm, other.spacing_mm, _SAME_SPACING),
    ):
        if np.abs(np.subtract(a, b)).max() > tolerance:
            raise file_error(
                other.path,
                expected=f'the {name} of {first.path.name}, {np.asarray(a).tolist()}',
                found=f'{np.asarray(b).tolist()}',
                remedy='Slices of one volume are alike; move scouts and other images of the series elsewhere.',
            )


def _step(slices: Sequence[DicomSlice], heights: np.ndarray) -> np.ndarray:
    """From slice to slice, from the first and the last one."""
    gaps = np.diff(heights)
    twice = np.flatnonzero(gaps < _SAME_MM)
    if len(twice):
        a, b = slices[twice[0]], slices[twice[0] + 1]
        raise file_error(
            b.path,
            expected='one slice at each position',
            found=f'a second one at {_place(b)}, where {a.path} is ({len(twice)} such in all)',
            remedy='Remove copies; split a series of several times, echoes or reconstructions.',
        )
    positions = np.stack([one.position for one in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    astray = positions - positions[0] - np.arange(len(slices))[:, None] * step
    tolerance = _ROUNDING_MM + _ROUNDING_SHARE * float(np.mean(gaps))
    if np.abs(np.cumsum(gaps) - np.arange(1, len(slices)) * np.mean(gaps)).max() > tolerance:
        worst = int(gaps.argmax())
        a, b = slices[worst], slices[worst + 1]
        raise file_error(
            b.path,
            expected=f'slices {np.sort(gaps)[(len(gaps) - 1) // 2]:.4g} mm apart',
            found=f'a gap of {gaps[worst]:.4g} mm from {a.path.name} at {_place(a)} to {b.path.name} at {_place(b)}',
            remedy='Slices are missing or uneven: copy or download the series again.',
        )
    distances = np.linalg.norm(astray, axis=1)
    if distances.max() > 2 * tolerance:
        worst = int(distances.argmax())
        raise file_error(
            slices[worst].path,
            expected='slices in a straight stack',
            found=f'one at {_place(slices[worst])}, {distances[worst]:.4g} mm beside it',
            remedy='Slices of one volume are shifted evenly against each other, or not at all.',
        )
    return step


def _thickness(one: DicomSlice) -> float:
    try:
        thickness = float(one.thickness)
    except ValueError:
        thickness = 0.0
    if not 0 < thickness < np.inf:
        raise file_error(
            one.path, expected='a SliceThickness, as there is only one slice', found=repr(one.thickness or 'none')
        )
    return thickness


def _place(one: DicomSlice) -> str:
    return '(' + ', '.join(f'{value:.6g}' for value in one.position) + ') mm'
