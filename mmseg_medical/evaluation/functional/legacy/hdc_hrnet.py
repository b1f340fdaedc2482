"""Conventions of HDC-HRNet for a set: volumes, Synapse, BraTS, the 2D helper, the block benchmark.

Distances are in voxels: none of them knows the spacing.
"""

from __future__ import annotations

import math

import numpy as np

from mmseg_medical.evaluation.functional.legacy.cases import Arrays, Scores, count, label_pairs, mean, with_means
from mmseg_medical.evaluation.functional.legacy.hdc_hrnet_volumes import (
    brats_over_volumes,
    brats_volume_scores,
    over_volumes,
    synapse_over_volumes,
    synapse_volume_scores,
    volume_scores,
)
from mmseg_medical.evaluation.functional.surface import hausdorff, surface_distances

_EPSILON = 1e-6


def hdc_hrnet_scores(pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """Scores of volumes: means over the volumes of each class, then over the classes 1 to K - 1.

    Departs from the standard: 1e-6 in every denominator, so that a class that is absent from both scores 0, but has an
    HD95 of 0; distances as in :func:`hd95_to_mask`.

    Args:
        pred (array or sequence of arrays): volumes, each of shape (*S), re-assembled from their slices.
        target (array or sequence of arrays): same shapes.
        num_classes (int): number of classes, the background 0 among them.

    Returns:
        dict: ``dice``, ``precision``, ``recall``, ``accuracy``, ``hd95``, each ``_per_class`` from class 1 on, and
        ``balanced``, the :func:`balanced_score` of the means.
    """
    pairs = label_pairs(pred, target, num_classes)
    return over_volumes([volume_scores(p, t, num_classes) for p, t in pairs])


def hdc_hrnet_synapse_scores(pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """Dice of volumes by the rule for Synapse.

    Departs from the standard: a class counts only in volumes whose target has it, so that false alarms are free, and
    classes with a mean of 0 leave the overall mean, so that a class that is always missed does not lower it.

    Args:
        pred (array or sequence of arrays): volumes, each of shape (*S).
        target (array or sequence of arrays): same shapes.
        num_classes (int): number of classes, the background 0 among them.

    Returns:
        dict: ``dice``, 0 if no class is left, and ``dice_per_class`` from class 1 on, 0 for a class in no target.
    """
    pairs = label_pairs(pred, target, num_classes)
    return synapse_over_volumes([synapse_volume_scores(p, t, num_classes) for p, t in pairs])


def hdc_hrnet_brats_scores(pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """Dice of volumes by the rule for BraTS.

    Departs from the standard: the labels are scored, not the regions whole tumour, core and enhancing tumour; empty
    masks as in :func:`hdc_hrnet_scores`, whose arguments these are.

    Returns:
        dict: ``dice`` and ``dice_per_class``, from class 1 on.
    """
    pairs = label_pairs(pred, target, num_classes)
    return brats_over_volumes([brats_volume_scores(p, t, num_classes) for p, t in pairs])


def hdc_hrnet_slices_scores(pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """Scores of slices by the 2D helper.

    Departs from the standard: Dice and IoU are taken over a whole batch with 1e-6 on both sides of the fraction, so
    that a class that is absent from both scores 1, and averaged over batches; precision and recall come from counts
    of the whole set (0 where the denominator is 0, which the source leaves open); slices with an empty mask leave the
    mean of HD95.

    Args:
        pred (array or sequence of arrays): batches, each of shape (N, H, W).
        target (array or sequence of arrays): same shapes.
        num_classes (int): number of classes, the background 0 among them.

    Returns:
        dict: ``dice``, ``iou``, ``precision``, ``recall``, ``hd95`` (MONAI's, NaN if no slice has both masks), and
        each ``_per_class`` from class 1 on.

    Raises:
        ValueError: a batch has another number of axes.
    """
    pairs = label_pairs(pred, target, num_classes)
    _check_batches(pairs)
    per_class: dict[str, list[float]] = {name: [] for name in ('dice', 'iou', 'precision', 'recall', 'hd95')}
    for label in range(1, num_classes):
        counts = np.array([count(p == label, t == label) for p, t in pairs])
        both, of_pred, of_target = counts.T
        per_class['dice'].append(float(np.mean((2 * both + _EPSILON) / (of_pred + of_target + _EPSILON))))
        per_class['iou'].append(float(np.mean((both + _EPSILON) / (of_pred + of_target - both + _EPSILON))))
        per_class['precision'].append(float(both.sum() / max(of_pred.sum(), 1)))
        per_class['recall'].append(float(both.sum() / max(of_target.sum(), 1)))
        slices = [pair for p, t in pairs for pair in zip(p == label, t == label, strict=True)]
        per_class['hd95'].append(mean([_hd95_of_slice(p, t) for p, t in slices]))
    return with_means(per_class)


def hdc_hrnet_blocks_scores(pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """HD95 of slices by the benchmark of block types.

    Departs from the standard: distances as in :func:`hd95_of_top_edges`; slices with an empty mask are skipped.

    Args:
        pred (array or sequence of arrays): batches, each of shape (N, H, W).
        target (array or sequence of arrays): same shapes.
        num_classes (int): number of classes, the background 0 among them.

    Returns:
        dict: ``hd95`` and ``hd95_per_class`` from class 1 on, NaN for a class without a slice that has both masks.

    Raises:
        ValueError: a batch has another number of axes.
    """
    pairs = label_pairs(pred, target, num_classes)
    _check_batches(pairs)
    per_class = []
    for label in range(1, num_classes):
        slices = [pair for p, t in pairs for pair in zip(p == label, t == label, strict=True)]
        per_class.append(mean([hd95_of_top_edges(p, t) for p, t in slices]))
    return with_means({'hd95': per_class})


def hd95_of_top_edges(pred: np.ndarray, target: np.ndarray) -> float:
    """95th percentile of the distances between the top edges of two masks, in pixels; NaN if a mask is empty.

    Departs from the standard: of the border, only pixels whose neighbour in the row above is outside the mask (or the
    grid) count. Both directions are pooled, as :func:`hd95_to_mask` does; the source leaves that open.

    Args:
        pred (np.ndarray): shape (H, W), bool.
        target (np.ndarray): shape (H, W), bool.
    """
    from scipy import ndimage

    if not pred.any() or not target.any():
        return math.nan
    edges, others = _top_edges(pred), _top_edges(target)
    there, back = ndimage.distance_transform_edt(~others)[edges], ndimage.distance_transform_edt(~edges)[others]
    return float(np.percentile(np.concatenate((there, back)), 95))


def _hd95_of_slice(pred: np.ndarray, target: np.ndarray) -> float:
    distances = surface_distances(pred, target, num_classes=2, ignore_index=None)[1]
    return hausdorff(distances, percentile=95.0, empty='exclude')


def _top_edges(mask: np.ndarray) -> np.ndarray:
    above = np.zeros_like(mask)
    above[1:] = mask[:-1]
    return mask & ~above


def _check_batches(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    for pred, _ in pairs:
        if pred.ndim != 3:
            raise ValueError(f'this preset takes batches of slices, shape (N, H, W), got {pred.shape}')
