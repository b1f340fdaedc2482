"""Headers whose axes are not at right angles."""

from __future__ import annotations

import itertools
import warnings

import numpy as np

from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.volume import Volume

#: degrees below which a header counts as rounded, not as sheared: a fifth of a millimetre over 256
ROUNDING_DEGREES = 0.05


def shear_degrees(grid: Grid | Volume) -> float:
    """Return how far the axes are from right angles to each other, at worst.

    Args:
        grid (Grid | Volume): Of any rank; 0 without an affine.

    >>> round(shear_degrees(Grid((2, 2, 2), np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]))), 2)
    5.71
    """
    if grid.affine is None:
        return 0.0
    directions = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    cosines = directions.T @ directions
    worst = max(abs(cosines[i, j]) for i, j in itertools.combinations(range(grid.rank), 2))
    return float(np.degrees(np.arcsin(min(worst, 1.0))))


def orthonormalise(volume: Volume) -> Volume:
    """Put the axes at right angles, for programs that accept nothing else.

    The directions become the nearest rotation or reflection (polar decomposition); spacing and centre of the image
    stay. A scan with a tilted gantry is truly sheared: there this misplaces voxels, and resampling onto an orthogonal
    grid (:func:`resample_like`) does not.

    Args:
        volume (Volume): Image.

    Returns:
        Volume: The same voxels with another affine; the image itself if it has none or nothing deviates.

    Warns:
        UserWarning: Axes deviated by more than :data:`ROUNDING_DEGREES`: by how much, and how far a corner moved.
    """
    if volume.affine is None:
        return volume
    spacing = np.linalg.norm(volume.affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(volume.affine[:3, :3] / spacing)
    affine = np.eye(4)
    affine[:3, :3] = left @ right * spacing
    if np.allclose(affine[:3, :3], volume.affine[:3, :3], rtol=0, atol=1e-12):
        return volume
    centre = np.ones(4)
    centre[:3] = [*((n - 1) / 2 for n in volume.size), *[0.0] * (3 - volume.rank)]
    affine[:3, 3] = (volume.affine @ centre)[:3] - affine[:3, :3] @ centre[:3]
    if (degrees := shear_degrees(volume)) > ROUNDING_DEGREES:
        corners = np.array(
            list(itertools.product(*((-0.5, n - 0.5) for n in volume.size), *[[0.0]] * (3 - volume.rank)))
        )
        moved = np.linalg.norm((corners - centre[:3]) @ (affine - volume.affine)[:3, :3].T, axis=1).max()
        warnings.warn(
            f'{volume.name}: axes that deviate by {degrees:.3g} degrees from right angles were put at right angles; '
            f'voxels moved by up to {moved:.3g} mm',
            stacklevel=2,
        )
    return Volume(volume.array, affine, volume.source, volume.has_channels)


def report_shear(volume: Volume, stacklevel: int = 2) -> None:
    """Warn of axes that are not at right angles.

    Warns:
        UserWarning: They deviate by more than :data:`ROUNDING_DEGREES`.
    """
    if (degrees := shear_degrees(volume)) > ROUNDING_DEGREES:
        warnings.warn(
            f'{volume.name}: its axes deviate by {degrees:.3g} degrees from right angles; kept as they are '
            '(geometry.orthonormalise puts them at right angles)',
            stacklevel=stacklevel + 1,
        )
