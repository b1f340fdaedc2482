"""Pure functions of arrays: counts, overlap, surfaces, lesions, curves, statistics. No registry, no runner, no file."""

from mmseg_medical.evaluation.functional.confusion import ConfusionCounts, confusion_counts, confusion_matrix
from mmseg_medical.evaluation.functional.empty import EMPTY_POLICIES, STATES, EmptyPolicy, states_of
from mmseg_medical.evaluation.functional.overlap import (
    CaseMean,
    dice,
    f_beta,
    iou,
    mean_over_cases,
    precision,
    recall,
    relative_volume_error,
    specificity,
    volume_mm3,
)
from mmseg_medical.evaluation.functional.precision_recall import (
    PrecisionRecall,
    PrecisionRecallHistogram,
    curve_from_counts,
)
from mmseg_medical.evaluation.functional.surface import (
    SurfaceDistances,
    assd,
    hausdorff,
    masd,
    nsd,
    surface_distances,
)

__all__ = [
    'EMPTY_POLICIES',
    'STATES',
    'CaseMean',
    'ConfusionCounts',
    'EmptyPolicy',
    'PrecisionRecall',
    'PrecisionRecallHistogram',
    'SurfaceDistances',
    'assd',
    'confusion_counts',
    'confusion_matrix',
    'curve_from_counts',
    'dice',
    'f_beta',
    'hausdorff',
    'iou',
    'masd',
    'mean_over_cases',
    'nsd',
    'precision',
    'recall',
    'relative_volume_error',
    'specificity',
    'states_of',
    'surface_distances',
    'volume_mm3',
]
