"""Registered accumulators over a data set."""

from mmseg_medical.evaluation.metrics.medical_seg_metric import MedicalSegMetric

__all__ = ['MedicalSegMetric']
