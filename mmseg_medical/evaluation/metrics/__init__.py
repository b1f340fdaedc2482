"""Registered metrics: thin accumulators over :mod:`mmseg_medical.evaluation.functional`."""

from mmseg_medical.evaluation.metrics.balanced_slice_metric import BalancedSliceMetric
from mmseg_medical.evaluation.metrics.case_seg_metric import CaseSegMetric
from mmseg_medical.evaluation.metrics.medical_seg_metric import MedicalSegMetric
from mmseg_medical.evaluation.metrics.multi_scale_seg_metric import MultiScaleSegMetric
from mmseg_medical.evaluation.metrics.nodule_seg_metric import NoduleSegMetric
from mmseg_medical.evaluation.metrics.slice_seg_metric import SliceSegMetric

__all__ = [
    'BalancedSliceMetric',
    'CaseSegMetric',
    'MedicalSegMetric',
    'MultiScaleSegMetric',
    'NoduleSegMetric',
    'SliceSegMetric',
]
