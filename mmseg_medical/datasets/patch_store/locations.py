"""Where the classes of a case are, so that a patch can be drawn without reading its labels."""

from __future__ import annotations

import numpy as np

#: Most voxels kept of a class. Patches around one voxel more or less look alike, long before there are as many.
MOST_VOXELS = 10_000


def class_locations(labels: np.ndarray, rank: int, seed: int, most: int = MOST_VOXELS) -> dict[int, np.ndarray]:
    """List voxels of every class, all of them or a random part, each voxel with the same chance.

    Args:
        labels (np.ndarray): Label map (*S), or masks (K, *S) of 0 and 1.
        rank (int): Number of spatial axes.
        seed (int): Of the random part; numpy's global generator is left alone.
        most (int): Most voxels of a class.

    Returns:
        dict[int, np.ndarray]: Class to int32 (n, rank), in the order of the array. Of a label map 0 is left out.
    """
    generator = np.random.default_rng(seed)
    shape = labels.shape[labels.ndim - rank :]
    found: dict[int, np.ndarray] = {}
    if labels.ndim == rank:
        flat = labels.reshape(-1)
        foreground = np.flatnonzero(flat)
        values = flat[foreground]
        places = {int(value): foreground[values == value] for value in np.unique(values)}
    else:
        places = {number: np.flatnonzero(mask.reshape(-1) == 1) for number, mask in enumerate(labels)}
    for value, voxels in places.items():
        if len(voxels) > most:
            voxels = voxels[np.sort(generator.choice(len(voxels), most, replace=False))]
        if len(voxels):
            found[value] = np.stack(np.unravel_index(voxels, shape), axis=1).astype(np.int32)
    return found
