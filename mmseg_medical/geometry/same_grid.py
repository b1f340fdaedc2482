"""Whether two images lie on one grid."""

from __future__ import annotations

import numpy as np

from mmseg_medical.errors import expectation
from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.volume import Volume


def grid_difference(a: Volume | Grid, b: Volume | Grid, tolerance_mm: float = 1e-3) -> str | None:
    """Say how the grids of two images differ.

    Args:
        a (Volume | Grid): First image.
        b (Volume | Grid): Second image.
        tolerance_mm (float): How far an entry of the affines may deviate. Programs write headers with different
            precision; a thousandth of a millimetre a voxel is beyond what any of them loses.

    Returns:
        str | None: The difference in words, or None if there is none.

    >>> a, b = (Volume(np.zeros((2, 3)), np.eye(4), name) for name in ('a.nii', 'b.nii'))
    >>> grid_difference(a, b)
    """
    if a.size != b.size:
        return f'{a.name} has size {a.size}, {b.name} has {b.size}'
    if a.affine is None and b.affine is None:
        return None
    if a.affine is None or b.affine is None:
        without, with_ = (a, b) if a.affine is None else (b, a)
        return f'{without.name} has no affine, {with_.name} has one'
    deviation = np.abs(a.affine - b.affine)
    row, column = np.unravel_index(int(deviation.argmax()), deviation.shape)
    if deviation[row, column] <= tolerance_mm:
        return None
    return (
        f'the affines differ by up to {deviation[row, column]:.6g} mm (row {row}, column {column}; tolerance '
        f'{tolerance_mm:g}): {a.name} has {_rows(a.affine)}, {b.name} has {_rows(b.affine)}'
    )


def check_grid(volume: Volume | Grid, reference: Volume | Grid, tolerance_mm: float = 1e-3) -> None:
    """Refuse an image that does not lie on the grid it should.

    Args:
        volume (Volume | Grid): What is checked.
        reference (Volume | Grid): Image or grid that it should overlay.
        tolerance_mm (float): See :func:`grid_difference`.

    Raises:
        ValueError: It does not; the message says in what they differ.
    """
    difference = grid_difference(volume, reference, tolerance_mm)
    if difference is not None:
        raise ValueError(
            expectation(
                volume.name,
                expected=f'the grid of {reference.name}',
                found=difference,
                remedy='Undo what changed the grid (geometry.restore), or resample it (geometry.resample_like).',
            )
        )


def _rows(affine: np.ndarray) -> str:
    return '[' + ', '.join('[' + ' '.join(f'{value:.6g}' for value in row) + ']' for row in affine[:3]) + ']'
