"""Images with their place in space: read, compare, reorient, resample, restore, write."""

from mmseg_medical.geometry.cropping import CropPad
from mmseg_medical.geometry.finite import check_finite
from mmseg_medical.geometry.formats.dicom import DicomSeries, list_dicom_series, read_dicom_series
from mmseg_medical.geometry.frame import Frame
from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.grid_step import GridStep
from mmseg_medical.geometry.labels import read_labels
from mmseg_medical.geometry.onto_grid import resample_like
from mmseg_medical.geometry.orientation import Reorient, axis_directions, reorient
from mmseg_medical.geometry.orthogonality import orthonormalise, shear_degrees
from mmseg_medical.geometry.readers import SUFFIXES, file_stem, read_volume
from mmseg_medical.geometry.refining import refine_grid, refine_steps
from mmseg_medical.geometry.resampling import Resample, resample
from mmseg_medical.geometry.restoring import restore, restore_labels
from mmseg_medical.geometry.same_grid import check_grid, grid_difference
from mmseg_medical.geometry.volume import Volume
from mmseg_medical.geometry.writers import write_volume

__all__ = [
    'SUFFIXES',
    'CropPad',
    'DicomSeries',
    'Frame',
    'Grid',
    'GridStep',
    'Reorient',
    'Resample',
    'Volume',
    'axis_directions',
    'check_finite',
    'check_grid',
    'file_stem',
    'grid_difference',
    'list_dicom_series',
    'orthonormalise',
    'read_dicom_series',
    'read_labels',
    'read_volume',
    'refine_grid',
    'refine_steps',
    'reorient',
    'resample',
    'resample_like',
    'restore',
    'restore_labels',
    'shear_degrees',
    'write_volume',
]
