"""Conventions of HDC-HRNet, volume by volume, so that a set need not be in memory; and the balanced score.

Distances are in voxels: none of them knows the spacing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from mmseg_medical.evaluation.functional.legacy.cases import Scores, count, mean, with_means

_EPSILON = 1e-6
#: a list by class, from class 1 on, by metric; of one volume
VolumeScores = dict[str, list[float]]


def volume_scores(pred: np.ndarray, target: np.ndarray, num_classes: int) -> VolumeScores:
    """Scores of one volume as :func:`hdc_hrnet_scores` takes the mean of them.

    Args:
        pred (np.ndarray): shape (*S), labels.
        target (np.ndarray): shape (*S), labels.
        num_classes (int): number of classes, the background 0 among them.

    Returns:
        dict[str, list[float]]: ``dice``, ``precision``, ``recall``, ``accuracy``, ``hd95`` of the classes from 1 on.
    """
    scores: VolumeScores = {name: [] for name in ('dice', 'precision', 'recall', 'accuracy', 'hd95')}
    for label in range(1, num_classes):
        p, t = pred == label, target == label
        both, of_pred, of_target = count(p, t)
        scores['dice'].append(2 * both / (of_pred + of_target + _EPSILON))
        scores['precision'].append(both / (of_pred + _EPSILON))
        scores['recall'].append(both / (of_target + _EPSILON))
        scores['accuracy'].append((p.size - (of_pred + of_target - 2 * both)) / (p.size + _EPSILON))
        scores['hd95'].append(hd95_to_mask(p, t))
    return scores


def over_volumes(volumes: Sequence[VolumeScores]) -> Scores:
    """Means over volumes of :func:`volume_scores`, and the balanced score of the means."""
    per_class = {metric: _class_means([scores[metric] for scores in volumes]) for metric in volumes[0]}
    return with_means(per_class) | {'balanced': balanced_score(mean(per_class['dice']), mean(per_class['hd95']))}


def brats_volume_scores(pred: np.ndarray, target: np.ndarray, num_classes: int) -> VolumeScores:
    """``dice`` of one volume, see :func:`volume_scores`."""
    return {'dice': [_volume_dice(pred == label, target == label) for label in range(1, num_classes)]}


def brats_over_volumes(volumes: Sequence[VolumeScores]) -> Scores:
    """Means over volumes of :func:`brats_volume_scores`."""
    return with_means({'dice': _class_means([scores['dice'] for scores in volumes])})


def synapse_volume_scores(pred: np.ndarray, target: np.ndarray, num_classes: int) -> VolumeScores:
    """``dice`` of one volume, NaN for a class that the target does not have."""
    (dice,) = brats_volume_scores(pred, target, num_classes).values()
    present = [bool((target == label).any()) for label in range(1, num_classes)]
    return {'dice': [value if there else math.nan for value, there in zip(dice, present, strict=True)]}


def synapse_over_volumes(volumes: Sequence[VolumeScores]) -> Scores:
    """Means over volumes of :func:`synapse_volume_scores`; classes with a mean of 0 leave the overall mean."""
    per_class = [0.0 if math.isnan(value) else value for value in _class_means([one['dice'] for one in volumes])]
    counted = [value for value in per_class if value > 0]
    return {'dice': mean(counted) if counted else 0.0, 'dice_per_class': per_class}


def hd95_to_mask(pred: np.ndarray, target: np.ndarray) -> float:
    """95th percentile of the distances from each border to the other mask, in voxels.

    Departs from the standard: the distance is to the mask, thus 0 inside it, not to its border; both directions are
    pooled; one empty mask is worth 100, two are worth 0. A voxel is on the border if a face neighbour is outside the
    mask, as all outside the grid is: every voxel of a volume of one slice is.

    Args:
        pred (np.ndarray): shape (*S), bool.
        target (np.ndarray): shape (*S), bool.
    """
    from scipy import ndimage

    if not pred.any() and not target.any():
        return 0.0
    if not pred.any() or not target.any():
        return 100.0
    distances = [
        ndimage.distance_transform_edt(~other)[mask & ~ndimage.binary_erosion(mask)]
        for mask, other in ((pred, target), (target, pred))
    ]
    return float(np.percentile(np.concatenate(distances), 95))


def balanced_score(dice: float, hd95: float) -> float:
    """Score that selects the best checkpoint: Dice - HD95 / 10.

    Departs from what one would expect: an HD95 above 100, or NaN, costs as much as one of 10.
    """
    return dice - 0.1 * (hd95 if hd95 <= 100 else 10.0)


def _volume_dice(pred: np.ndarray, target: np.ndarray) -> float:
    both, of_pred, of_target = count(pred, target)
    return 2 * both / (of_pred + of_target + _EPSILON)


def _class_means(volumes: Sequence[Sequence[float]]) -> list[float]:
    return [mean(values) for values in zip(*volumes, strict=True)]


#: preset of :func:`~mmseg_medical.evaluation.functional.legacy.legacy_scores` -> what it takes of a volume (prediction,
#: target, number of classes), and what it makes of that over volumes
VOLUME_PRESETS: dict[
    str,
    tuple[Callable[[np.ndarray, np.ndarray, int], VolumeScores], Callable[[Sequence[VolumeScores]], Scores]],
] = {
    'hdc_hrnet': (volume_scores, over_volumes),
    'hdc_hrnet_brats': (brats_volume_scores, brats_over_volumes),
    'hdc_hrnet_synapse': (synapse_volume_scores, synapse_over_volumes),
}
