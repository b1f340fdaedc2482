"""Volumes that a network sees slice by slice: what the data sets of slices share, see docs/slices.md."""

from mmseg_medical.datasets.slices.cutting import cut_slice
from mmseg_medical.datasets.slices.dataset import SliceDataset
from mmseg_medical.datasets.slices.grids import slice_grid, slice_step
from mmseg_medical.datasets.slices.planes import PLANES, checked_planes
from mmseg_medical.datasets.slices.sampler import ClassExposureSampler
from mmseg_medical.datasets.slices.store import SliceStore, volume_entry

__all__ = [
    'PLANES',
    'ClassExposureSampler',
    'SliceDataset',
    'SliceStore',
    'checked_planes',
    'cut_slice',
    'slice_grid',
    'slice_step',
    'volume_entry',
]
