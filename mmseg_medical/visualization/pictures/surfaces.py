"""Smooth surfaces of masks in millimetres, made in one way for truth and prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse

from mmseg_medical.visualization.pictures.surface_nets import Mesh, surface_nets

_LEVEL = 0.5
# No voxel changes sides, so that more blur changes nothing but the memory that it needs.
_MOST_SIGMA = 8.0
# How far a voxel stays on its side of the level: without, a Gaussian of half a voxel removes single voxels.
_MARGIN = 0.2
# Part of a cell next to its corners that vertices stay out of: sheets and dots of one voxel keep a thickness.
_CORNER = 0.15
# Pass band of Taubin's filter, 1/0.5 - 1/0.53; the values of his paper.
_SHRINK, _GROW = 0.5, -0.53


@dataclass(frozen=True)
class Smoothing:
    """How a mask becomes a smooth surface.

    Attributes:
        sigma_voxels (float): Of the Gaussian that blurs the mask, along each axis; no voxel changes sides by it.
        iterations (int): Of Taubin's filter, which smooths the surface without shrinking it.
        most_voxels (float): Larger boxes around structures are averaged in blocks first.
    """

    sigma_voxels: float = 0.5
    iterations: int = 30
    most_voxels: float = 16e6

    def __post_init__(self) -> None:
        if not 0 <= self.sigma_voxels <= _MOST_SIGMA or self.iterations < 0 or self.most_voxels < 1:
            raise ValueError(
                f'sigma must be 0 to {_MOST_SIGMA:g} voxels and iterations not negative, got sigma '
                f'{self.sigma_voxels:g} and {self.iterations} iterations'
            )

    def __str__(self) -> str:
        return f'Gaussian {self.sigma_voxels:g} voxel, level {_LEVEL:g}, {self.iterations} Taubin steps'


def box_around(masks: Sequence[np.ndarray]) -> tuple[slice, ...] | None:
    """Return the smallest box that holds the foreground of all masks (I, J, K), None if there is none."""
    union = np.logical_or.reduce(list(masks))
    if not union.any():
        return None
    ends = [np.flatnonzero(union.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    return tuple(slice(int(end[0]), int(end[-1]) + 1) for end in ends)


def block_size(box: Sequence[slice], smoothing: Smoothing) -> int:
    """Voxels along the edge of the blocks that a box is averaged in; 1 leaves it as it is."""
    voxels = math.prod(part.stop - part.start for part in box)
    return max(1, math.ceil((voxels / smoothing.most_voxels) ** (1 / 3)))


def surface_of(
    mask: np.ndarray, affine: np.ndarray | None, smoothing: Smoothing | None = None, block: int = 1
) -> Mesh | None:
    """Make the surface of a mask.

    Args:
        mask (np.ndarray): shape (I, J, K), bool.
        affine (np.ndarray | None): shape (4, 4), voxels to millimetres; None leaves voxel indices.
        smoothing (Smoothing | None): None takes the defaults.
        block (int): See :func:`block_size`; the same for all surfaces of a picture.

    Returns:
        Mesh | None: closed, outside of it counter-clockwise; None for an empty mask.
    """
    smoothing = smoothing or Smoothing()
    box = box_around([mask])
    if box is None:
        return None
    part, start = mask[box], np.array([one.start for one in box], float)
    field, inside = _averaged(part, block) if block > 1 else (part.astype(np.float32), part)
    if not inside.any():
        return None
    pad = 2 + math.ceil(4 * smoothing.sigma_voxels)
    field, inside = np.pad(field, pad), np.pad(inside, pad)
    if smoothing.sigma_voxels > 0:
        field = ndimage.gaussian_filter(field, smoothing.sigma_voxels)
    field = np.where(inside, np.maximum(field, _LEVEL + _MARGIN), np.minimum(field, _LEVEL - _MARGIN))
    mesh = surface_nets(field, _LEVEL)
    vertices = taubin(mesh, smoothing.iterations)
    vertices = start + (vertices - pad) * block + (block - 1) / 2
    if affine is None:
        return Mesh(vertices, mesh.faces)
    placed = vertices @ affine[:3, :3].T + affine[:3, 3]
    mirrored = np.linalg.det(affine[:3, :3]) < 0
    return Mesh(placed, np.ascontiguousarray(mesh.faces[:, ::-1]) if mirrored else mesh.faces)


def _averaged(mask: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    padded = np.pad(mask, [(0, -n % block) for n in mask.shape])
    shape = [size for n in padded.shape for size in (n // block, block)]
    field = padded.reshape(shape).mean(axis=(1, 3, 5), dtype=np.float32)
    return field, field >= _LEVEL


def taubin(mesh: Mesh, iterations: int) -> np.ndarray:
    """Smooth the vertices of a net by steps that shrink and grow it in turn, each vertex within its cell.

    Taubin 1995, doi:10.1145/218380.218473, with equal weights of neighbours; the constraint is that of surface nets.

    Args:
        mesh (Mesh): The surface, vertices in voxel indices.
        iterations (int): Pairs of steps.

    Returns:
        np.ndarray: shape (V, 3).
    """
    vertices = mesh.vertices
    if iterations == 0 or len(vertices) == 0:
        return vertices
    neighbours = _neighbours(mesh)
    mean = sparse.diags_array(1 / np.maximum(neighbours.sum(axis=1), 1)) @ neighbours
    cells = np.floor(vertices)
    for _ in range(iterations):
        for weight in (_SHRINK, _GROW):
            vertices = vertices + weight * (mean @ vertices - vertices)
        vertices = np.clip(vertices, cells + _CORNER, cells + 1 - _CORNER)
    return vertices


def _neighbours(mesh: Mesh) -> sparse.csr_array:
    pairs = np.concatenate([mesh.faces[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    both = np.concatenate([pairs, pairs[:, ::-1]])
    size = (len(mesh.vertices), len(mesh.vertices))
    neighbours = sparse.csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), size)
    neighbours.data[:] = 1.0  # an edge of two triangles counts once
    return neighbours
