"""Pure functions of arrays: counts, overlap, precision-recall. No registry, no runner, no file."""

from mmseg_medical.evaluation.functional.confusion import ConfusionCounts, confusion_counts, confusion_matrix
from mmseg_medical.evaluation.functional.overlap import CaseMean, dice, f_beta, iou, mean_over_cases, precision, recall
from mmseg_medical.evaluation.functional.precision_recall import (
    PrecisionRecall,
    PrecisionRecallHistogram,
    curve_from_counts,
)

__all__ = [
    'CaseMean',
    'ConfusionCounts',
    'PrecisionRecall',
    'PrecisionRecallHistogram',
    'confusion_counts',
    'confusion_matrix',
    'curve_from_counts',
    'dice',
    'f_beta',
    'iou',
    'mean_over_cases',
    'precision',
    'recall',
]
