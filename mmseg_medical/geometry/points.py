"""Points in space and the voxels they fall on."""

from __future__ import annotations

import numpy as np

# x and y of DICOM's and ITK's world (LPS) point the other way in RAS
_TURN = np.array([-1.0, -1.0, 1.0])


def world_to_voxel(points_mm: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Voxel coordinates of points, by the whole affine: axes may be flipped, permuted or oblique.

    Args:
        points_mm (np.ndarray): shape (N, 3), RAS+ in mm.
        affine (np.ndarray): shape (4, 4), of :class:`~mmseg_medical.geometry.Volume`.

    Returns:
        np.ndarray: shape (N, 3), float64; whole numbers are centres of voxels.
    """
    offsets = np.asarray(points_mm, np.float64).reshape(-1, 3) - affine[:3, 3]
    return np.linalg.solve(affine[:3, :3], offsets.T).T


def voxel_to_world(voxels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Places in mm (RAS+), shape (N, 3), of voxel coordinates (N, 3); undoes :func:`world_to_voxel`."""
    return np.asarray(voxels, np.float64).reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]


def lps_to_ras(points_mm: np.ndarray) -> np.ndarray:
    """Turn points (N, 3) from the world of DICOM and ITK (LPS+) to RAS+, or back: the two differ by signs alone."""
    return np.asarray(points_mm, np.float64).reshape(-1, 3) * _TURN
