"""Metric conventions of the original systems, to compare with their published numbers and for nothing else.

Each preset says in one line where it departs from the standard definitions, which are in
:mod:`~mmseg_medical.evaluation.functional`. The 3D-Res2UNet published no metric and has no preset.
"""

from __future__ import annotations

from collections.abc import Callable

from mmseg_medical.errors import did_you_mean
from mmseg_medical.evaluation.functional.legacy.cases import Arrays, Scores
from mmseg_medical.evaluation.functional.legacy.hacdr import hacdr_scores
from mmseg_medical.evaluation.functional.legacy.hdc_hrnet import (
    hd95_of_top_edges,
    hdc_hrnet_blocks_scores,
    hdc_hrnet_brats_scores,
    hdc_hrnet_scores,
    hdc_hrnet_slices_scores,
    hdc_hrnet_synapse_scores,
)
from mmseg_medical.evaluation.functional.legacy.hdc_hrnet_volumes import (
    VOLUME_PRESETS,
    VolumeScores,
    balanced_score,
    hd95_to_mask,
)
from mmseg_medical.evaluation.functional.legacy.hippocampus import hippocampus_scores, nsd_voxel, smoothed_dice
from mmseg_medical.evaluation.functional.legacy.rare_unet import (
    mean_and_deviation,
    rare_unet_multiscale,
    rare_unet_scores,
    rare_unet_table_scores,
)

__all__ = [
    'LEGACY_PRESETS',
    'VOLUME_PRESETS',
    'VolumeScores',
    'balanced_score',
    'hd95_of_top_edges',
    'hd95_to_mask',
    'legacy_scores',
    'mean_and_deviation',
    'nsd_voxel',
    'rare_unet_multiscale',
    'smoothed_dice',
]

LEGACY_PRESETS: dict[str, Callable[[Arrays, Arrays, int], Scores]] = {
    'hacdr': hacdr_scores,
    'hdc_hrnet': hdc_hrnet_scores,
    'hdc_hrnet_blocks': hdc_hrnet_blocks_scores,
    'hdc_hrnet_brats': hdc_hrnet_brats_scores,
    'hdc_hrnet_slices': hdc_hrnet_slices_scores,
    'hdc_hrnet_synapse': hdc_hrnet_synapse_scores,
    'hippocampus': hippocampus_scores,
    'rare_unet': rare_unet_scores,
    'rare_unet_table': rare_unet_table_scores,
}


def legacy_scores(preset: str, pred: Arrays, target: Arrays, num_classes: int) -> Scores:
    """Score a set by the convention of an original system.

    Args:
        preset (str): a name in :data:`LEGACY_PRESETS`.
        pred (array or sequence of arrays): label maps, integers in 0..num_classes - 1: cases, images or batches, as
            the preset says. A list or tuple holds several, an array is one.
        target (array or sequence of arrays): as many, of the same shapes.
        num_classes (int): number of classes K, the background 0 among them.

    Returns:
        dict[str, float | list[float]]: means by metric, and lists by class under ``<metric>_per_class``.

    Raises:
        ValueError: there is no such preset, or the maps do not fit it.

    Example:
        >>> import numpy as np
        >>> legacy_scores('rare_unet', np.array([[1, 1, 0, 2]]), np.array([[1, 0, 0, 2]]), num_classes=3)['iou']
        0.75
    """
    if preset not in LEGACY_PRESETS:
        known = ', '.join(LEGACY_PRESETS)
        raise ValueError(f'preset must be one of {known}, got {preset!r}.' + did_you_mean(preset, LEGACY_PRESETS))
    return LEGACY_PRESETS[preset](pred, target, num_classes)
