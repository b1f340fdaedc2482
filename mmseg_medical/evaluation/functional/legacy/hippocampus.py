"""Convention of the hippocampus project (Task04 of the Decathlon)."""

from __future__ import annotations

import numpy as np

from mmseg_medical.evaluation.functional.legacy.cases import Arrays, Scores, count, label_pairs, mean, with_means


def hippocampus_scores(pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """Dice and normalised surface Dice of volumes or slices: means over the cases of each class, then over classes.

    Departs from the standard: 1e-8 in the denominator of Dice; a class that is absent from both scores 1; surfaces as
    in :func:`nsd_voxel` with a tolerance of 2 voxels.

    Args:
        pred (array or sequence of arrays): cases, each of shape (*S).
        target (array or sequence of arrays): same shapes.
        num_classes (int): number of classes, the background 0 among them.

    Returns:
        dict: ``dice``, ``nsd_voxel`` and each ``_per_class`` from class 1 on.
    """
    pairs = label_pairs(pred, target, num_classes)
    masks = [[(p == label, t == label) for p, t in pairs] for label in range(1, num_classes)]
    return with_means(
        {
            'dice': [mean([smoothed_dice(p, t) for p, t in cases]) for cases in masks],
            'nsd_voxel': [mean([nsd_voxel(p, t) for p, t in cases]) for cases in masks],
        }
    )


def smoothed_dice(pred: np.ndarray, target: np.ndarray) -> float:
    """Dice score of two masks of shape (*S), with 1e-8 in the denominator; 1 if both are empty."""
    both, of_pred, of_target = count(pred, target)
    if not of_pred and not of_target:
        return 1.0
    return 2 * both / (of_pred + of_target + 1e-8)


def nsd_voxel(pred: np.ndarray, target: np.ndarray, tolerance_voxels: float = 2.0) -> float:
    """Normalised surface Dice of border voxels.

    Departs from the standard: it counts voxels, not area, and the tolerance is in voxels whatever the spacing; 1 if
    both masks are empty, 0 if one is.

    Args:
        pred (np.ndarray): shape (*S), bool.
        target (np.ndarray): shape (*S), bool.
        tolerance_voxels (float): a distance equal to it is within.
    """
    from scipy import ndimage

    if not pred.any() or not target.any():
        return float(pred.any() == target.any())
    borders = [mask & ~ndimage.binary_erosion(mask) for mask in (pred, target)]
    distances = np.concatenate(
        [
            ndimage.distance_transform_edt(~borders[1])[borders[0]],
            ndimage.distance_transform_edt(~borders[0])[borders[1]],
        ]
    )
    return float(np.mean(distances <= tolerance_voxels))
