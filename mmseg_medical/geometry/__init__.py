"""Images with their place in space: read, compare, resample, write."""

from mmseg_medical.geometry.grids import grid_difference
from mmseg_medical.geometry.labels import read_labels
from mmseg_medical.geometry.readers import SUFFIXES, file_stem, read_volume
from mmseg_medical.geometry.resample import resample_like
from mmseg_medical.geometry.volume import Volume
from mmseg_medical.geometry.writers import write_volume

__all__ = [
    'SUFFIXES',
    'Volume',
    'file_stem',
    'grid_difference',
    'read_labels',
    'read_volume',
    'resample_like',
    'write_volume',
]
