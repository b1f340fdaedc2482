"""Trained models applied to files: predictor, model directories, folders of cases."""

from mmseg_medical.inference.batch import BatchOptions, predict_cases
from mmseg_medical.inference.cases import Case, find_cases
from mmseg_medical.inference.component_filter import ComponentFilter
from mmseg_medical.inference.model_directory import export_model_directory, load_model_directory
from mmseg_medical.inference.predictor import Predictor
from mmseg_medical.inference.region import Region, RegionFolder
from mmseg_medical.inference.segmentation import Segmentation

__all__ = [
    'BatchOptions',
    'Case',
    'ComponentFilter',
    'Predictor',
    'Region',
    'RegionFolder',
    'Segmentation',
    'export_model_directory',
    'find_cases',
    'load_model_directory',
    'predict_cases',
]
